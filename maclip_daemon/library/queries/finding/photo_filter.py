"""Which photos a person asks for, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Order = Literal["worst", "best", "taken", "name", "bursts"]
Mine = Literal[
    "any",
    "undecided",
    "unrated",
    "rated",
    "picked",
    "rejected",
    "1",
    "2",
    "3",
    "4",
    "5",
    "maclip",
    "nobody",
]
"""`undecided`: neither rated nor picked by the person. `maclip`, `nobody`: whose rating the file has."""
Kind = Literal["", "any", "burst", "bracket", "panorama", "focus stack", "duplicate", "time lapse"]
Reason = Literal[
    "",
    "any",
    "not sharp",
    "moved",
    "noise",
    "clipped highlights",
    "underexposed",
    "JPEG blocks",
    "enlarged",
]


@dataclass(frozen=True)
class PhotoFilter:
    """Which photos, and in which order; without arguments all of them, the weakest first."""

    order: Order = "worst"
    under: tuple[str, ...] = ()
    """Folders, or photos by their paths; none: the whole library."""
    folder: str = ""
    """Of these only the photos in this folder and below."""
    stars: tuple[int, ...] = ()
    """maclip's stars; none: any."""
    mine: Mine = "any"
    """What the person decided. A RAW and its JPEG are decided together."""
    since: str | None = None
    """A date such as 2026-05-01, of taking."""
    until: str | None = None
    """As `since`; photos of that day are among them."""
    name: str = ""
    """A part of the file name, in any case."""
    camera: str = ""
    """A camera's name, or a part of it in any case."""
    lens: str = ""
    """As `camera`."""
    kind: Kind = ""
    """Only photos in groups of this kind, such as `burst`; `any`: of any kind."""
    reason: Reason = ""
    """Only photos that measurably lack this; `any`: that lack anything."""
    worst: int | None = None
    """Only the photos with the lowest scores, so many of them."""


EVERYTHING = PhotoFilter()
