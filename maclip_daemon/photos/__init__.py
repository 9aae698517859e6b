"""Photo files become pixels, in child processes with limits. The parent loads no image library."""
