"""`maclip service`: definitions for systemd, launchd and Windows, and the darktable panel."""
