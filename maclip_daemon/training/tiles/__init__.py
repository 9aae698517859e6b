"""The tower for tiles: trained on bursts of tiles, of thousands of scenes."""
