"""Finding photo files: which folders, which files in them, when they are whole, and what changes.

Scans (`scanner`) are the truth; events (`watcher`) only shorten the wait. This room opens no photo and knows
no database. Paths are `str` exactly as the system gives them: bytes that are not UTF-8 are kept as surrogates
(`os.fsencode` gives the bytes back).
"""
