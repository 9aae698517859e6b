"""Verification of new bytes before they replace a file: our properties are there, all others as they were."""

from __future__ import annotations

from pathlib import Path

from maclip_daemon.errors import WriteRefused
from maclip_daemon.metadata.content import containers, exiv2_tags, xmp_text
from maclip_daemon.metadata.content.xmp_text import NAMESPACES, Wanted


def verify_sidecar(
    file: Path, before: exiv2_tags.Values, leaves: xmp_text.Leaves, new: bytes, wanted: Wanted
) -> None:
    """Refuse new bytes that differ in more than our properties, as exiv2 and our own reader see them."""
    verify_text(file, leaves, xmp_text.read(new), wanted)
    with exiv2_tags.open_bytes(new) as image:
        verify_values(file, before, exiv2_tags.read_xmp(image), wanted)


def verify_photo(photo: Path, data: bytes, new: bytes, before: exiv2_tags.Values, wanted: Wanted) -> None:
    """Refuse new bytes of a photo whose picture, or metadata other than ours, differ from the old ones."""
    exif_may_differ = any(key.startswith("Exif.") for key in wanted)
    if difference := containers.difference(data, new, exif_may_differ=exif_may_differ):
        raise WriteRefused(f"in a trial {difference}")
    with exiv2_tags.open_bytes(data) as image:
        packet = exiv2_tags.read_packet(image)
    with exiv2_tags.open_bytes(new) as image:
        leaves = xmp_text.read(packet) if packet else {}
        written = exiv2_tags.read_packet(image)
        verify_text(photo, leaves, xmp_text.read(written) if written else {}, wanted)
        verify_values(photo, before, exiv2_tags.read_exif(image) | exiv2_tags.read_xmp(image), wanted)


def verify_text(file: Path, leaves: xmp_text.Leaves, written: xmp_text.Leaves, wanted: Wanted) -> None:
    """Refuse XMP whose text, read without exiv2, lacks our properties or lost others."""
    texts = texts_of(wanted)
    if wrong := [path for path, text in texts.items() if written.get(path) != text]:
        raise WriteRefused(
            f"{file} is left alone: its prefixes send {wrong[0].rpartition('/')[2]} elsewhere."
        )
    lists = tuple(f"{_path_of(key)}[" for key in wanted if key.startswith("Xmp."))
    ours = frozenset(texts) | {path for path in leaves if path.startswith(lists)}
    if lost := xmp_text.lost(leaves, written, ours):
        raise WriteRefused(
            f"{file} is left alone: rewriting it would lose {len(lost)} of its properties, "
            f"among them {lost[0].rpartition('/')[2]}."
        )


def verify_values(path: Path, before: exiv2_tags.Values, after: exiv2_tags.Values, wanted: Wanted) -> None:
    """Refuse values, as exiv2 reads them, that lack our properties or differ in others."""
    missing = [key for key, text in wanted.items() if after.get(key) != text]
    # Offsets inside of EXIF move when the metadata grows; the container check has compared its bytes.
    others = {
        key for key in before.keys() | after.keys() if key not in wanted and not key.startswith("Exif.")
    }
    altered = [key for key in sorted(others) if before.get(key) != after.get(key)]
    if missing or altered:
        raise WriteRefused(f"{path} is left alone: a trial write got {(missing + altered)[0]} wrong.")


def texts_of(wanted: Wanted) -> dict[str, str | None]:
    """Return the XMP values to be written by their path in `xmp_text.Leaves`."""
    texts: dict[str, str | None] = {}
    for key, value in wanted.items():
        if not key.startswith("Xmp."):
            continue
        if isinstance(value, list):
            texts |= {f"{_path_of(key)}[{position}]": item for position, item in enumerate(value, start=1)}
        else:
            texts[_path_of(key)] = value
    return texts


def applied(leaves: xmp_text.Leaves, wanted: Wanted) -> xmp_text.Leaves:
    """Return the leaves of a sidecar after these values were written into it."""
    lists = tuple(f"{_path_of(key)}[" for key in wanted if key.startswith("Xmp."))
    texts = texts_of(wanted)
    kept = {path: text for path, text in leaves.items() if path not in texts and not path.startswith(lists)}
    return kept | {path: text for path, text in texts.items() if text is not None}


def _path_of(key: str) -> str:
    _, prefix, name = key.split(".", 2)
    return f"/{NAMESPACES[prefix]} {name}"
