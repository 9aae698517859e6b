"""A second reader behind exiv2: exiftool, for photos whose metadata exiv2 does not read in full.

It runs once for all such photos of a batch, and never for a sound one. It sees links with plain names in a
folder of its own, so that no file name is taken for an option, and it never writes to a photo.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maclip_daemon.errors import FileChanged, WriteRefused
from maclip_daemon.files.os_errors import DISK_FULL
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.files.suffixes import suffix_of
from maclip_daemon.metadata.content import xmp_encoding
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.processes import limits

PROGRAM = "exiftool"
_START_S = 20.0  # exiftool's start, on a busy machine
_PHOTO_S = 2.0  # for each photo; 0.02 to 0.3 s are usual
_SIZE_LIMIT = 16 << 20  # bytes of XMP
MEMORY_MIB = 1024
_PASSING = DISK_FULL | {errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE}
"""What keeps exiftool from being started now."""
# What photo managers read from EXIF and IPTC where there is no XMP. A later line wins over an earlier one.
_FROM_OTHERS = (
    "-XMP-dc:Creator<EXIF:Artist",
    "-XMP-dc:Description<EXIF:ImageDescription",
    "-XMP-dc:Description<EXIF:UserComment",
    "-XMP-dc:Rights<EXIF:Copyright",
    "-XMP-exif:DateTimeOriginal<EXIF:DateTimeOriginal",
    "-XMP-xmp:CreateDate<EXIF:CreateDate",
    "-XMP-tiff:Make<EXIF:Make",
    "-XMP-tiff:Model<EXIF:Model",
    "-XMP-aux:Lens<EXIF:LensModel",
    "-XMP-exif:GPSLatitude<Composite:GPSLatitude",
    "-XMP-exif:GPSLongitude<Composite:GPSLongitude",
    "-XMP-dc:Title<IPTC:ObjectName",
    "-XMP-dc:Description<IPTC:Caption-Abstract",
    "-XMP-dc:Creator<IPTC:By-line",
    "-XMP-dc:Rights<IPTC:CopyrightNotice",
    "-XMP-dc:Subject<IPTC:Keywords",
)


class SecondReadingNeeded(WriteRefused):
    """A photo must be read with `read_many` first; then the same work can be done."""

    def __init__(self, photo: Path) -> None:
        super().__init__(f"{photo} is read by {PROGRAM} first.")
        self.photo = photo


@dataclass(frozen=True)
class SecondReading:
    """What exiftool read of one photo."""

    xmp: bytes = b""
    """Its XMP as one sound document; empty where it read none."""
    everything: bytes = b""
    """The same with what photo managers read from EXIF and IPTC."""
    ratings: tuple[int, ...] = ()
    """Ratings outside of XMP that are not zero."""
    warning: str = ""
    """What exiftool could not read."""
    is_answer: bool = True
    """False: it could not be asked, for lack of room; it may read the photo later."""


Readings = dict[Path, tuple[ExactSignature, SecondReading]]

_readings: Readings = {}
_read: Callable[[Sequence[Path]], Readings] | None = None


def is_available() -> bool:
    """Return whether exiftool is installed."""
    return shutil.which(PROGRAM) is not None


def reading_of(photo: PhotoFile) -> SecondReading | None:
    """Return what exiftool read of this photo; None where it is not installed.

    Raises `SecondReadingNeeded` before `read_many`, `FileChanged` when the photo changed since.
    """
    known = _readings.get(photo.path)
    if known is None:
        if not is_available():
            return None
        raise SecondReadingNeeded(photo.path)
    if known[0] != photo.signature:
        raise FileChanged(f"{photo.path} changed while it was read.")
    return known[1]


def let_read(read: Callable[[Sequence[Path]], Readings]) -> None:
    """Let another process run exiftool, for a process that may start no program."""
    global _read
    _read = read


def read_many(photos: Sequence[Path]) -> None:
    """Let exiftool read these photos, for `reading_of`; one that keeps it busy too long stays unread."""
    _readings.update((_read or read_here)(photos))


def read_here(photos: Sequence[Path]) -> Readings:
    """Return what exiftool reads of these photos, started by this process."""
    readings: Readings = {}
    with contextlib.ExitStack() as opened:
        files: list[PhotoFile] = []
        for photo in photos:
            with contextlib.suppress(OSError, FileChanged):
                file = opened.enter_context(PhotoFile(photo))
                unread = SecondReading(warning=f"{PROGRAM} does not read it")
                readings[photo] = (file.signature, unread)
                files.append(file)
        together = _read_together(files)
        for alone in [[file] for file in files] if together is None and len(files) > 1 else []:
            readings |= _read_together(alone) or {}
    return readings | (together or {})


def forget() -> None:
    """Forget what was read: each batch begins anew."""
    _readings.clear()


def _read_together(photos: Sequence[PhotoFile]) -> Readings | None:
    """Read photos with one process; return None when it did not come to its end."""
    readings: Readings = {}
    try:
        with tempfile.TemporaryDirectory(prefix="maclip-exiftool-", ignore_cleanup_errors=True) as place:
            folder = Path(place)
            names = [_link_name(number, photo.path) for number, photo in enumerate(photos)]
            for name, photo in zip(names, photos, strict=True):
                _show(photo, folder / name)
            output = _run(folder, names, [photo.descriptor for photo in photos])
            if output is None:
                return None
            seen = dict(_found(output))
            for number, photo in enumerate(photos):
                reading = _reading(folder, number, seen.get(names[number], {}))
                readings[photo.path] = (photo.signature, reading)
    except OSError as error:  # no room, or no links on this file system
        if error.errno in _PASSING:
            unasked = SecondReading(warning=f"{error.strerror}", is_answer=False)
            return {photo.path: (photo.signature, unasked) for photo in photos}
    return readings


def _show(photo: PhotoFile, name: Path) -> None:
    """Let a name lead to the file that was opened, whatever took its path since."""
    descriptor = photo.name_of_descriptor
    if descriptor is not None:
        name.symlink_to(descriptor)
        return
    with photo.opened() as source, name.open("xb") as copy:
        shutil.copyfileobj(source, copy)


def _link_name(number: int, photo: Path) -> str:
    suffix = suffix_of(photo.name)
    return f"{number}{suffix}" if suffix[1:].isalnum() and suffix.isascii() else f"{number}"


def _run(folder: Path, names: Sequence[str], descriptors: Sequence[int]) -> str | None:
    """Run exiftool in `folder`; return what it printed, None when it had to be ended."""
    lines: list[str] = []
    for number, name in enumerate(names):
        lines += ["-q", "-q", "-m", "-tagsfromfile", name, "-xmp:all", "-o", f"{number}.x.xmp", "-execute"]
        lines += ["-q", "-q", "-m", "-tagsfromfile", name, *_FROM_OTHERS, "-xmp:all"]
        lines += ["-o", f"{number}.e.xmp", "-execute"]
        lines += ["-q", "-q", "-j", "-n", "-a", "-G1", "-Rating", "-Warning", "-Error", name, "-execute"]
    (folder / "arguments").write_text("\n".join(lines) + "\n", encoding="ascii")
    # The first option keeps a configuration file of this name, which is a program, from being run.
    command = [PROGRAM, "-config", "", "-@", "arguments"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=descriptors,
    )
    limits.limit_child(process.pid, MEMORY_MIB)
    try:
        output, _ = process.communicate(timeout=_START_S + _PHOTO_S * len(names))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    return output.decode("utf-8", "replace")


def _found(output: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the records that exiftool printed, by the name of the file."""
    decoder = json.JSONDecoder()
    found: list[tuple[str, dict[str, Any]]] = []
    position = output.find("[{")
    while position >= 0:
        try:
            records, end = decoder.raw_decode(output, position)
        except ValueError:
            break
        found.extend((str(record.get("SourceFile")), record) for record in records)
        position = output.find("[{", end)
    return found


def _reading(folder: Path, number: int, record: dict[str, Any]) -> SecondReading:
    if not record:
        return SecondReading(warning=f"{PROGRAM} does not read it")
    warnings = [
        str(value)
        for key, value in record.items()
        if key.endswith(":Error") or (key.endswith(":Warning") and "XMP" in str(value))
    ]
    ratings = [
        value
        for key, value in record.items()
        if key.endswith(":Rating") and not key.startswith("XMP") and isinstance(value, int) and value
    ]
    return SecondReading(
        _content(folder / f"{number}.x.xmp"),
        _content(folder / f"{number}.e.xmp"),
        tuple(ratings),
        "; ".join(warnings),
    )


def _content(file: Path) -> bytes:
    with contextlib.suppress(OSError), file.open("rb") as opened:
        data = opened.read(_SIZE_LIMIT + 1)
        # exiftool spells Microsoft's namespace as old versions of digiKam did, and as exiv2 does not.
        return xmp_encoding.with_usual_namespaces(data) if len(data) <= _SIZE_LIMIT else b""
    return b""
