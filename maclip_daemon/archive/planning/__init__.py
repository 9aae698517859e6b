"""What a bulk run has to do: the listing, without what is written."""
