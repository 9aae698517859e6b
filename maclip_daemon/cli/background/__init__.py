"""Commands about a daemon in the background: its pauses and its notifications."""
