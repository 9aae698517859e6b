"""Reading and changing metadata through pyexiv2, in memory: exiv2 never writes to a disk here.

pyexiv2 is not thread-safe and its own writing truncates the file first. Only the child process imports this.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import pyexiv2

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.content.photo_file import PhotoFile

Values = dict[str, object]

_LOG_ERRORS_ONLY = 3
_LOG_NOTHING = 4
_LONGEST_REASON = 200  # characters of exiv2's own words, which may hold a photo's whole text

pyexiv2.set_log_level(_LOG_ERRORS_ONLY)
pyexiv2.registerNs(xmp_text.NAMESPACE, xmp_text.PREFIX)
_HARMLESS = pyexiv2.ImageData(
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>"
    b"</x:xmpmeta>"
)
_tainted = False
_AS_LATIN1 = "maclip.latin1"


def _latin1(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_AS_LATIN1, _latin1)


def is_tainted() -> bool:
    """Return whether a photo changed exiv2's one table of prefixes, so that this process must end.

    A document that binds `xmp` to a namespace of its own sends the ratings of all later files there. exiv2
    cannot undo it: registering a known prefix again makes it forget the types of its properties.
    """
    return _tainted


@dataclass(frozen=True)
class CheckedPacket:
    """A photo's XMP packet as our own reader sees it."""

    packet: bytes = b""
    """As it is in the file, without padding; empty without one."""
    leaves: xmp_text.Leaves | None = None
    """Its values; None without a packet, and where it is damaged."""
    refusal: str = ""
    """Why it cannot be read, in half a sentence."""


class OpenedPhoto(pyexiv2.Image):  # type: ignore[misc]  # pyexiv2 has no types
    """A photo opened for reading."""

    has_complaints = False
    """Whether exiv2 found damage, and read what it could."""
    checked = CheckedPacket()


class _PhotoInMemory(pyexiv2.ImageData, OpenedPhoto):  # type: ignore[misc]
    """A photo opened where no path leads to a descriptor."""


_images: dict[PhotoFile, OpenedPhoto] = {}


def open_photo(file: PhotoFile) -> OpenedPhoto:
    """Open a photo for reading only; of damaged metadata, exiv2 reads what it can, as in photo managers.

    It is read once, and stays open as long as the file. Raises `WriteRefused` when exiv2 cannot read it,
    `ForeignPrefix` when this taints the process.
    """
    if file in _images:
        return _images[file]
    _forget_old_errors()
    with _as_refusal("exiv2 cannot read it", file):
        try:
            image = _opened(file)
        except RuntimeError:
            # One bad entry of EXIF must not hide the title, or the stars that a person gave.
            with _complaints_ignored():
                image = _opened(file)
            image.has_complaints = True
    file.until_closed.callback(_close, image)
    image.checked = check_prefixes(image)
    _images[file] = image
    file.until_closed.callback(_images.pop, file)
    return image


def _opened(file: PhotoFile) -> OpenedPhoto:
    # exiv2 opens a name itself, more than once; this one leads to the file that was checked.
    name = file.name_of_descriptor
    if name is not None:
        return OpenedPhoto(name)
    return _PhotoInMemory(safe_writer.read_opened(file.descriptor, file.path)[0])


class _ReadBefore(NamedTuple):
    """The sidecar that was read last: to change it, exiv2 need not parse it again."""

    data: bytes
    image: pyexiv2.ImageData


_read_before: list[_ReadBefore] = []


def read_sidecar(data: bytes) -> Values:
    """Return the XMP properties of a sidecar's bytes, by exiv2 key; `change_sidecar` may follow."""
    _forget_sidecar()
    image = _image_of(data)
    _read_before.append(_ReadBefore(data, image))
    return read_xmp(image)


def _forget_sidecar() -> None:
    while _read_before:
        _close(_read_before.pop().image)


@contextmanager
def open_bytes(data: bytes) -> Iterator[pyexiv2.ImageData]:
    """Open the bytes of a sidecar that `xmp_text` has read, or of a photo opened before.

    Raises `WriteRefused` when exiv2 cannot read them.
    """
    image = _image_of(data)
    try:
        yield image
    finally:
        _close(image)


def _image_of(data: bytes) -> pyexiv2.ImageData:
    image = pyexiv2.ImageData.__new__(pyexiv2.ImageData)
    _forget_old_errors()
    try:
        with _as_refusal("exiv2 cannot read it"):
            image.__init__(data)
    except WriteRefused:
        image.buffer.destroy()  # its copy of the data, which nobody else would free
        raise
    return image


def read_xmp(image: pyexiv2.Image) -> Values:
    """Return all XMP properties, by exiv2 key."""
    with _as_refusal("exiv2 cannot read its XMP"):
        return dict(image.read_xmp())


def read_exif(image: pyexiv2.Image) -> Values:
    """Return all EXIF fields as text, by exiv2 key; a text in a local encoding as Windows reads it."""
    # Not Image.read_exif: that fails as a whole on one badly encoded text.
    with _as_refusal("exiv2 cannot read its EXIF"):
        rows = image._exiv2api_image.read_exif()
    return {row["tag"].decode("latin-1"): decoded(row["value"]) for row in rows}


def decoded(text: bytes) -> str:
    """Decode a text that says nothing of its encoding: UTF-8, and what cannot be that as Windows' Latin-1."""
    return text.decode("utf-8", _AS_LATIN1)


def has_iptc(image: pyexiv2.Image) -> bool:
    """Return whether there is any IPTC; faster than a conversion that finds none."""
    with _as_refusal("exiv2 cannot read its IPTC"):
        return bool(image._exiv2api_image.read_iptc())


def read_packet(image: pyexiv2.Image) -> bytes:
    """Return the photo's XMP packet without its padding; empty without one."""
    return bytes(image.read_raw_xmp(encoding="latin-1").encode("latin-1")).strip(b"\0 \r\n\t")


def change_sidecar(data: bytes, values: xmp_text.Wanted) -> bytes:
    """Set (or with None remove) properties in a sidecar's bytes."""
    if _read_before and _read_before[-1].data is data:
        _forget_old_errors()
        try:
            return changed_sidecar(_read_before[-1].image, values)
        finally:
            _forget_sidecar()  # it is another one now
    with open_bytes(data) as image:
        return changed_sidecar(image, values)


def changed_sidecar(image: pyexiv2.ImageData, values: xmp_text.Wanted) -> bytes:
    """Return an open sidecar's bytes with these properties set, or with None removed."""
    with _as_refusal("exiv2 cannot write it"):
        # exiv2 mirrors XMP into EXIF and IPTC and would write the old values back from there.
        image.clear_exif()
        image.clear_iptc()
        image.modify_xmp(values)
        return bytes(image.get_bytes())


def change_photo(data: bytes, values: xmp_text.Wanted) -> bytes:
    """Set (or with None remove) XMP properties and EXIF fields in a photo's bytes."""
    exif = {key: value for key, value in values.items() if key.startswith("Exif.")}
    with open_bytes(data) as image, _as_refusal("exiv2 cannot write it"):
        image.modify_xmp({key: value for key, value in values.items() if key not in exif})
        if exif:
            image.modify_exif(exif)
        return bytes(image.get_bytes())


def check_prefixes(image: pyexiv2.Image) -> CheckedPacket:
    """Return a photo's XMP packet, read without exiv2.

    Raises `ForeignPrefix` where it gives a familiar prefix another meaning.
    """
    global _tainted
    packet = read_packet(image)
    if not packet:
        return CheckedPacket()
    try:
        return CheckedPacket(packet, xmp_text.read(packet))
    except xmp_text.ForeignPrefix:
        _tainted = True
        raise
    except WriteRefused as refusal:
        _tainted = _tainted or xmp_text.may_mislead(packet)
        return CheckedPacket(packet, refusal=str(refusal))


@contextmanager
def _complaints_ignored() -> Iterator[None]:
    """Let pyexiv2 raise only what exiv2 throws, not what it logs and recovers from."""
    _forget_old_errors()
    pyexiv2.set_log_level(_LOG_NOTHING)
    try:
        yield
    finally:
        pyexiv2.set_log_level(_LOG_ERRORS_ONLY)


def _forget_old_errors() -> None:
    """Empty pyexiv2's one log of errors, or one photo's damage would be raised over the next photo.

    exiv2 logs and then throws over some damage; pyexiv2 reads the log only where nothing was thrown.
    """
    with suppress(RuntimeError):
        _HARMLESS.read_iptc()


def _close(image: pyexiv2.Image) -> None:
    with suppress(RuntimeError):  # an earlier error, see `_forget_old_errors`; all is read
        image.close()


@contextmanager
def _as_refusal(what: str, file: PhotoFile | None = None) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, UnicodeError) as error:  # all that pyexiv2 raises; UnicodeError for its messages
        words = " ".join(str(error).split())
        if file is not None and file.name_of_descriptor is not None:
            words = words.replace(f"{file.name_of_descriptor}: ", "").replace(
                file.name_of_descriptor, file.path.name
            )
        raise WriteRefused(f"{what} ({words[:_LONGEST_REASON]})") from None
