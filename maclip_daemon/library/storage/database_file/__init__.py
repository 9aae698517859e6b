"""The file of the library: how it was left, what guards it, how another takes its place."""
