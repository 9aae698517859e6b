"""Large photos to make bursts of: read one at a time, whole scenes held out."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from maclip_daemon.training.bursts.reframing import SMALL_EDGE
from maclip_daemon.training.scene_split import scenes_of, thumbnail

SMALLEST_LONG_EDGE = 2200  # pixels; frames of smaller photos have no room for eight tiles at half size
_SUFFIXES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"}
LARGEST_LONG_EDGE = 6000  # pixels; larger photos are reduced to it


@dataclass(frozen=True)
class LargePhoto:
    """One photo of a folder, by its path and scene."""

    path: Path
    scene: str
    """Name of the first photo of its scene; near-twins share it."""

    @property
    def is_held_out(self) -> bool:
        """Whether the photo's scene is for measuring only: one in five, by a hash of its name."""
        return int(hashlib.sha256(self.scene.encode()).hexdigest(), 16) % 5 == 0


def find_large_photos(folder: Path) -> list[LargePhoto]:
    """Return the large photos below a folder, by name; leaves out and reports files that cannot be read."""
    paths, thumbnails = [], []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        try:
            with Image.open(path) as image:
                if max(image.size) < SMALLEST_LONG_EDGE or min(image.size) < SMALLEST_LONG_EDGE / 2:
                    continue
                image.draft("RGB", (256, 256))
                thumbnails.append(thumbnail(np.asarray(image.convert("RGB"))))
        except OSError as error:
            print(f"{path} is left out: {error}", file=sys.stderr)
            continue
        paths.append(path)
    if not paths:
        return []
    scenes = scenes_of(thumbnails)
    first = {int(scene): path.stem for scene, path in reversed(list(zip(scenes, paths, strict=True)))}
    return [LargePhoto(path, first[int(scene)]) for path, scene in zip(paths, scenes, strict=True)]


def read_large(photo: LargePhoto, long_edge: int = LARGEST_LONG_EDGE) -> Image.Image:
    """Return the photo upright, RGB, reduced where it is longer than `long_edge`."""
    with Image.open(photo.path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    if max(upright.size) > long_edge:
        upright.thumbnail((long_edge, long_edge), Image.Resampling.LANCZOS)
    return upright


def with_small(photo: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return the photo, and a copy whose frames are `SMALL_EDGE` long or a little more."""
    small = photo.copy()
    small.thumbnail((SMALL_EDGE, SMALL_EDGE), Image.Resampling.BICUBIC)
    return photo, small


def repeated(photos: Sequence[LargePhoto], times: int) -> Iterator[tuple[int, LargePhoto]]:
    """Yield each photo this often, with a running number."""
    yield from enumerate(photo for photo in photos for _ in range(times))
