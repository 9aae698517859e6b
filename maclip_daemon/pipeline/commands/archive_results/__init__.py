"""What is done with the results of an archive: its scores brought home, its sidecars written."""
