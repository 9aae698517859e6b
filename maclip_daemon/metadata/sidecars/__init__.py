"""Which file carries a photo's rating, whose rating it is, and what a new sidecar holds."""
