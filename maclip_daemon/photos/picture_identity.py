"""The identity of a picture: a hash by which its score is kept, all metadata left out.

Ratings, keywords and other metadata written by any program leave it unchanged, so they do not score a photo
again. Turning a photo changes it. The identity of a JPEG is that of its coded data: frame, tables, scans, how
colours are coded, and how the picture is turned. It is known before decoding, is the same whatever size the
picture is decoded at, and does not change with the decoder's version. Other pictures have the hash of their
decoded pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

from blake3 import blake3
from PIL import Image

from maclip_daemon.photos.containers.jpeg_structure import FRAMES, segments

_STRIP_BYTES = 4 << 20  # bytes copied out of the image at a time, so that 24 MP cost no second 72 MB
PREFIX = "jpeg:"  # tells these hashes from those of decoded pixels, which every JPEG had before
_COMMENT, _JFIF, _ADOBE = 0xFE, 0xE0, 0xEE
_APPLICATION = frozenset(range(0xE0, 0xF0))


def pixel_hash(image: Image.Image) -> str:
    """Return the BLAKE3 (hexadecimal) of mode, width, height and the rows of an upright RGB image."""
    digest = blake3(f"{image.mode} {image.width} {image.height}\n".encode("ascii"))
    for strip in strips(image):
        digest.update(strip)
    return digest.hexdigest()


def with_colours(identity: str, conversion: str) -> str:
    """Return the identity of a picture whose colours are converted; `conversion`: which, '' for none.

    The kind of hash (its prefix) stays.
    """
    if not conversion:
        return identity
    prefix, _, plain = identity.rpartition(":")
    digest = blake3(f"{plain} {conversion}".encode()).hexdigest()
    return f"{prefix}:{digest}" if prefix else digest


def strips(image: Image.Image) -> Iterator[bytes]:
    """Yield the pixels of an image from top to bottom, in C order, a few megabytes at a time."""
    rows = max(1, _STRIP_BYTES // max(1, image.width * len(image.getbands())))
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height))).tobytes()


def jpeg_hash(data: bytes, orientation: int | None) -> str:
    """Return the identity of the first picture of a whole JPEG (see `jpeg_structure.damage`).

    `orientation`: EXIF's, when the picture is turned by it; None or 1 when it is not turned.
    """
    digest = blake3()
    frame, jfif, adobe = b"", False, None
    for segment in segments(data):
        content = segment.content
        if segment.marker in FRAMES:
            frame = bytes(content)
        elif segment.marker == _JFIF:
            jfif = jfif or bytes(content[:5]) == b"JFIF\0"
        elif segment.marker == _ADOBE and bytes(content[:5]) == b"Adobe" and len(content) >= 12:
            adobe = content[11]
        if segment.marker != _COMMENT and segment.marker not in _APPLICATION:
            digest.update(b"%c%d\n" % (segment.marker, len(content)))
            digest.update(content)
    digest.update(f"{_colours(frame, jfif, adobe)} {orientation or 1}\n".encode("ascii"))
    return PREFIX + digest.hexdigest()


def _colours(frame: bytes, jfif: bool, adobe: int | None) -> str:
    """Return how libjpeg reads the components (its `default_decompress_parms`).

    The JFIF and Adobe segments decide it; the rest of their content does not change the pixels.
    """
    count = frame[5] if len(frame) > 5 else 0
    if count == 3:
        names = frame[6::3][:3]
        named_rgb = adobe is None and names == b"RGB"
        return "RGB" if not jfif and (adobe == 0 or named_rgb) else "YCbCr"
    if count == 4:
        return "YCCK" if adobe == 2 else "CMYK"
    return f"{count}"
