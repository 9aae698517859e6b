"""What the fuzzer calls with any bytes: each reader of strangers' data, and the errors that it may raise."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from maclip_daemon import settings
from maclip_daemon.errors import ConfigurationError, Poison, WriteRefused
from maclip_daemon.metadata.content import xmp_encoding, xmp_repair, xmp_text
from maclip_daemon.photos import camera_raw, content_kind, picture_identity
from maclip_daemon.photos.containers import (
    isobmff_boxes,
    jpeg_structure,
    jxl_header,
    png_chunks,
    tiff_directories,
)
from maclip_daemon.photos.decode_errors import poison_on_error
from maclip_daemon.processes import frames

CORPUS = Path(__file__).parent / "fuzz_corpus"
"""One folder for each target: seeds, and inputs that once failed. Keep them under a kilobyte."""


def xmp(data: bytes) -> None:
    """Read a sidecar as text, and mend it; what is mended must be sound."""
    with contextlib.suppress(WriteRefused):
        xmp_text.read(xmp_encoding.with_usual_namespaces(xmp_encoding.to_utf8(data)))
    if (document := xmp_repair.mended(data)) is not None:
        xmp_text.read(document)
    xmp_text.may_mislead(data)


def jpeg(data: bytes) -> None:
    """Check a JPEG's structure; a whole one has an identity, which metadata do not change."""
    content_kind.content_kind(data[:64])
    damage = jpeg_structure.damage(data)
    if damage is not None:
        assert all(0 <= end <= len(data) for end in damage.possible_ends)
    elif data[:2] == b"\xff\xd8":
        identity = picture_identity.jpeg_hash(data, None)
        commented = data[:2] + b"\xff\xfe\x00\x04ab" + data[2:]
        assert picture_identity.jpeg_hash(commented, None) == identity


def raw(data: bytes) -> None:
    """Find how much of a RAW is missing, and which photo its directories hold."""
    with contextlib.suppress(Poison), poison_on_error("RAW file"):
        missing = camera_raw.missing_bytes(io.BytesIO(data))
        assert missing is None or missing >= 0
    with contextlib.suppress(Poison), poison_on_error("TIFF file"):
        directories = tiff_directories.read_directories(io.BytesIO(data))
        tiff_directories.holds_sensor_data(directories)
        tiff_directories.photo_in(directories)
    with contextlib.suppress(Poison), poison_on_error("picture"):
        isobmff_boxes.nclx(data)
        jxl_header.size(data)
        png_chunks.picture_chunks(data)


def configuration(data: bytes) -> None:
    """Load a configuration file."""
    with tempfile.NamedTemporaryFile(suffix=".toml") as file, contextlib.suppress(ConfigurationError):
        file.write(data)
        file.flush()
        settings.load(Path(file.name))


def frame(data: bytes) -> None:
    """Read the frames of a child that a hostile photo has taken over."""
    stream = io.BytesIO(data)
    while (reply := frames.read_frame(stream)) is not None:
        assert isinstance(reply.header, dict)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "xmp": xmp,
    "jpeg": jpeg,
    "raw": raw,
    "configuration": configuration,
    "frame": frame,
}
