"""Reading and changing metadata through pyexiv2, in memory: exiv2 never writes to a disk here.

pyexiv2 is not thread-safe and its own writing truncates the file first. Only the child process imports this.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyexiv2

from maclip_daemon.metadata import properties, xmp_text
from maclip_daemon.metadata.refusal import Refused

Values = dict[str, object]

_LOG_ERRORS_ONLY = 3  # at 4 pyexiv2 would also swallow the errors

pyexiv2.set_log_level(_LOG_ERRORS_ONLY)
pyexiv2.registerNs(properties.NAMESPACE, properties.PREFIX)
_tainted = False


def is_tainted() -> bool:
    """Whether a photo has led exiv2's one table of prefixes astray, so that this process must end.

    A document that binds `xmp` to a namespace of its own sends the ratings of all later files there, and
    exiv2 has no way back: registering a known prefix again makes it forget the types of its properties.
    """
    return _tainted


@contextmanager
def open_photo(path: Path) -> Iterator[pyexiv2.Image]:
    """Open a photo for reading only.

    Raises `Refused` when exiv2 cannot read it, and its subclass `ForeignPrefix` when this taints the process.
    """
    # Latin-1 carries any path's bytes through pyexiv2 unchanged; an absolute path is never taken for a URL.
    name = os.fsencode(os.path.abspath(path)).decode("latin-1")
    with _as_refusal("exiv2 cannot read it"):
        image = pyexiv2.Image(name, encoding="latin-1")
    try:
        _check_prefixes(image)
        yield image
    finally:
        image.close()


@contextmanager
def open_bytes(data: bytes) -> Iterator[pyexiv2.ImageData]:
    """Open the bytes of a sidecar that `xmp_text` has read, or of a photo opened before.

    Raises `Refused` when exiv2 cannot read them.
    """
    with _as_refusal("exiv2 cannot read it"):
        image = pyexiv2.ImageData(data)
    try:
        yield image
    finally:
        image.close()


def read_xmp(image: pyexiv2.Image) -> Values:
    """All XMP properties, by exiv2 key."""
    with _as_refusal("exiv2 cannot read its XMP"):
        return dict(image.read_xmp())


def read_exif(image: pyexiv2.Image) -> Values:
    """All EXIF fields as text, by exiv2 key."""
    # Not Image.read_exif: that fails as a whole on one badly encoded text.
    with _as_refusal("exiv2 cannot read its EXIF"):
        rows = image._exiv2api_image.read_exif()
    return {row["tag"].decode("latin-1"): row["value"].decode("utf-8", "replace") for row in rows}


def has_iptc(image: pyexiv2.Image) -> bool:
    """Whether there is any IPTC; faster than a conversion that finds none."""
    return bool(image._exiv2api_image.read_iptc())


def read_packet(image: pyexiv2.Image) -> bytes:
    """The XMP packet as it stands in the photo, without padding; empty where there is none."""
    return bytes(image.read_raw_xmp(encoding="latin-1").encode("latin-1")).strip(b"\0 \r\n\t")


def change_sidecar(data: bytes, values: properties.Wanted) -> bytes:
    """Set (or with None remove) properties in a sidecar's bytes."""
    with open_bytes(data) as image, _as_refusal("exiv2 cannot write it"):
        # exiv2 mirrors XMP into EXIF and IPTC and would write the old values back from there.
        image.clear_exif()
        image.clear_iptc()
        image.modify_xmp(values)
        return bytes(image.get_bytes())


def change_photo(data: bytes, values: properties.Wanted) -> bytes:
    """Set (or with None remove) XMP properties and EXIF fields in a photo's bytes."""
    exif = {key: value for key, value in values.items() if key.startswith("Exif.")}
    with open_bytes(data) as image, _as_refusal("exiv2 cannot write it"):
        image.modify_xmp({key: value for key, value in values.items() if key not in exif})
        if exif:
            image.modify_exif(exif)
        return bytes(image.get_bytes())


def _check_prefixes(image: pyexiv2.Image) -> None:
    global _tainted
    packet = read_packet(image)
    if not packet:
        return
    try:
        xmp_text.read(packet)
    except xmp_text.ForeignPrefix:
        _tainted = True
        raise
    except Refused:
        _tainted = True  # what we cannot check may hide the same


@contextmanager
def _as_refusal(what: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, UnicodeError) as error:  # all that pyexiv2 raises; UnicodeError for its messages
        raise Refused(f"{what} ({error})") from None
