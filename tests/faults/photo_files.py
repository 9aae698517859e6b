"""Generators of photo files, shared with the unit tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import exif_bytes, picture, still_bytes, write_dng

__all__ = ["exif_bytes", "picture", "still_bytes", "write_dng"]
