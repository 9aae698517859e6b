"""Previews: a photo as a JPEG of the size at which a person looks at it."""
