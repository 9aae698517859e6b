"""Files of the operating system: paths, permissions, links, safe replacement."""
