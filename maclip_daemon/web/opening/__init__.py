"""The first moments of the review page: its first photos are shown before everything else is loaded.

Nothing here loads SQLAlchemy, the metadata writer or an image library.
"""
