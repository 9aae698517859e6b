"""Photos of one moment: which belong together, of which kind they are, and which frame is the best."""
