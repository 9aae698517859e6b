"""The status page, `/health` and `/metrics` of a running daemon (`maclip run --listen`)."""
