"""Rejected photos leave for a folder, by `maclip cull` or from the review page, and come back."""
