"""What the command line asks of the pipeline: score, rate, undo."""
