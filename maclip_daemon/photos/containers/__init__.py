"""Structures of files: JPEG segments, PNG chunks, TIFF directories, boxes, ICC tags, JPEG XL headers."""
