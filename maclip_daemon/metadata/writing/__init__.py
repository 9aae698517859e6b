"""Writing: prepare, commit and undo one file, with nothing lost at any crash."""
