"""The rating stage: scores become stars, stars become sidecars."""
