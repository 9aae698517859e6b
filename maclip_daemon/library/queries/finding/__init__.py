"""Finding photos: one filter, with the same words for the command line and the review page."""
