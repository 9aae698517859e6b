"""The daemon: lock, signals, reload, supervision, systemd notification, log."""
