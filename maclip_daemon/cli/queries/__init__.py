"""Commands that only read the library: photos in order, one photo, the progress, the distribution."""
