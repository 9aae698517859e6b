"""The commands of `maclip archive`."""
