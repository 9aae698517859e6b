"""XMP: which file carries a photo's rating, whose rating it is, and how it is written without any loss.

Only the child process (`metadata_process` and what it imports) loads pyexiv2; the parent calls it through
`metadata_writer.MetadataWriter`.
"""
