"""What tells which photos belong to one moment: the camera's own facts, and how a picture looks."""
