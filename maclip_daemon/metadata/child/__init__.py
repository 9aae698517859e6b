"""The metadata process: the only one that loads pyexiv2, its messages and its limits."""
