"""Photo files become pixels, in a child process with limits. Importing it loads no image library."""
