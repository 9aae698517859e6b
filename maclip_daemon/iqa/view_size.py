"""The size of a view, and the rectangle of a photo that it shows. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

VIEW_SIZE = 224  # pixels; the side of a view, fixed by CLIP's towers

Shown = Literal["crop", "whole", "tile"]
"""A part of the photo at its protocol's size, all of it, or a part at half its own size."""


@dataclass(frozen=True)
class Box:
    """A rectangle of a photo, in pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int
    kind: Shown = "crop"
