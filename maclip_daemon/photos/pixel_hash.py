"""The identity of a picture: a hash of its decoded pixels.

Scores are kept by this hash, so that ratings, keywords and other metadata written by any program do not
score a photo again. Turning a photo changes its pixels and therefore its hash.
"""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3
from PIL import Image

_STRIP_BYTES = 4 << 20  # bytes copied out of the image at a time, so that 24 MP cost no second 72 MB


def pixel_hash(image: Image.Image) -> str:
    """BLAKE3 (hexadecimal) over mode, width, height and the rows of an upright RGB image."""
    digest = blake3(f"{image.mode} {image.width} {image.height}\n".encode("ascii"))
    for strip in strips(image):
        digest.update(strip)
    return digest.hexdigest()


def strips(image: Image.Image) -> Iterator[bytes]:
    """The pixels of an image from top to bottom, in C order, a few megabytes at a time."""
    rows = max(1, _STRIP_BYTES // max(1, image.width * len(image.getbands())))
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))).tobytes()
