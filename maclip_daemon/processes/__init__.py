"""Child processes: the parent's side, the child's side, the frames between them, priority."""
