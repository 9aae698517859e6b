"""The command line: one module for each command or group of commands, put together in `program`.

Commands import the other packages inside their functions, so that `maclip status` starts at once.
"""
