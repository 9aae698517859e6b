"""One photo as grouping sees it, and the order of photos of one camera."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property

from maclip_daemon.library.photos.burst_frames import name_order
from maclip_daemon.photos.shots.descriptor_layout import Descriptor, is_descriptor, unpack

_NUMBER = re.compile(r"\d+")
_LONGEST_NUMBER = 12  # digits; longer ones are no counters


@dataclass(frozen=True)
class Exposure:
    """How a frame was exposed; None where the camera did not note it."""

    seconds: float | None = None
    aperture: float | None = None
    iso: float | None = None
    bias_ev: float | None = None
    focal_mm: float | None = None
    is_bracketed: bool = False
    """Whether the camera says that the frame is part of an automatic bracket."""

    @property
    def light_ev(self) -> float | None:
        """Return log2 of how bright the settings make the picture; None unless all three are known."""
        if not (self.seconds and self.aperture and self.iso):
            return None
        return math.log2(self.seconds * self.iso / self.aperture**2)


NO_EXPOSURE = Exposure()


@dataclass(frozen=True)
class BurstFrame:
    """A photo among the others of its camera."""

    photo_id: int
    moment_us: int
    """Microseconds since 1970: EXIF's, in UTC where the camera noted its time zone; else the file's."""
    is_exact: bool
    """Whether the moment is EXIF's."""
    folder_id: int
    file_name: str
    role: str | None
    """`raw`, `developed` (a camera's JPEG or HEIC), or None; see `pairing.role_of`."""
    width: int
    height: int
    pixel_hash: str | None
    exposure: Exposure
    packed: bytes | None
    """The stored descriptor."""
    score: float | None = None
    """In the active scoring configuration: the detail score where there is one."""
    burst_id: int | None = None
    """Its group so far."""
    burst_rank: int | None = None
    """Its place in it so far."""

    @cached_property
    def descriptor(self) -> Descriptor | None:
        """Return how the picture looks; None where that is not known."""
        return unpack(self.packed) if self.packed is not None and is_descriptor(self.packed) else None

    @cached_property
    def order(self) -> tuple[int, str, int]:
        """Return the key that sorts the frames of a camera."""
        return self.moment_us, name_order(self.file_name), self.photo_id

    @cached_property
    def stem(self) -> str:
        """Return the file name without its suffix."""
        return self.file_name.rpartition(".")[0] or self.file_name


def are_name_neighbours(first: str, second: str, most: int = 3) -> bool:
    """Return whether two names differ in one number, by at most `most`: `IMG_0041` and `IMG_0043`."""
    numbers = _differing_numbers(first, second)
    return len(numbers) == 1 and abs(numbers[0][0] - numbers[0][1]) <= most


def are_counted_apart(first: str, second: str) -> bool:
    """Return whether two names differ in nothing but numbers: the camera counted two shots."""
    return bool(_differing_numbers(first, second))


def _differing_numbers(first: str, second: str) -> list[tuple[int, int]]:
    """Return the numbers in which two names differ; none where they differ in anything else."""
    if _NUMBER.split(first.lower()) != _NUMBER.split(second.lower()):
        return []
    pairs = zip(_NUMBER.findall(first), _NUMBER.findall(second), strict=True)
    differing = [(one, other) for one, other in pairs if one != other]
    if any(max(len(one), len(other)) > _LONGEST_NUMBER for one, other in differing):
        return []
    return [(int(one), int(other)) for one, other in differing]


def is_name_of_copy(first: str, second: str) -> bool:
    """Return whether one stem continues the other, as `IMG_1_edited` does; `IMG_10` is another photo."""
    short, long = sorted((first.lower(), second.lower()), key=len)
    return long.startswith(short) and not long[len(short) :][:1].isdigit()
