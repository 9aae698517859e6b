"""What was judged and written: scores, calibrations, and the journal of ratings."""
