"""XMP: which file carries a photo's rating, whose rating it is, and how it is written without any loss.

Only the child process (`process.py` and what it imports) loads pyexiv2; the parent talks to it through
`writer.MetadataWriter`.
"""
