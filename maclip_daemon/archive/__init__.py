"""Archives: bulk scoring into Parquet, and the results read back. Needs the extra `archive`."""
