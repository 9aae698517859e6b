"""The pipeline's part of `maclip score`, `maclip rate` and `maclip undo`."""
