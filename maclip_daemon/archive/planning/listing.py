"""What is to be judged: a folder, a list of addresses, a table of them, or a bucket → photos."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import IO
from urllib.parse import unquote_to_bytes

import pyarrow as pa
import pyarrow.parquet as pq

from maclip_daemon.archive.addresses.address_errors import readable
from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.archive.storage import Place, address_of_path, names_below, place_of, source_of, walked
from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.files.paths import expanded, printable_utf8
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import found_file, scan
from maclip_daemon.photos.formats import is_photo

_COLUMNS = ("address", "url", "uri", "path", "file")  # looked for in a table, in this order
_READ_BYTES = 1 << 16


def photos_of(
    source: str, *, column: str | None = None, exclude: Sequence[str] = ()
) -> Iterator[PhotoSource]:
    """Yield the photos of a source, as it describes them; each may come more than once.

    `source`: a folder, a photo, a list (`-`: standard input), a Parquet table, or a URL of one of these.
    `column`: the table's column of addresses. Raises `UsageError`, `EnvironmentUnfit`.
    """
    if source == "-":
        yield from _listed(sys.stdin.buffer)
        return
    shown = printable_utf8(source)
    with readable(shown):
        place = place_of(source if "://" in source else os.path.abspath(expanded(source)))
        if place.is_local and not os.path.lexists(place.path):
            raise UsageError(f"There is nothing at {shown}. Check the spelling.")
        is_folder = place.file_system.isdir(place.path)
        if column is not None or (not is_folder and place.path.endswith(".parquet")):
            yield from _tabled(place, column, shown)
        elif is_folder:
            exclusion = Exclusion(exclude)
            yield from _in_folder(place, exclusion) if place.is_local else _in_bucket(place, exclusion)
        elif is_photo(place.path):
            yield PhotoSource(_plain(source) if place.is_local else source)
        else:
            with place.file_system.open(place.path, "rb") as file:
                yield from _listed(file)


def _plain(source: str) -> str:
    return source if "://" in source else os.path.abspath(expanded(source))


def local_source(path: str) -> PhotoSource:
    """Return a file of this machine with its size and time, where it has any."""
    found = found_file(path)
    if found is None:
        return PhotoSource(path)
    return PhotoSource(path, found.size, datetime.fromtimestamp(found.mtime_ns // 1000 / 1e6, UTC))


def local_path(address: str) -> str | None:
    """Return the path of an address on this machine; None for one elsewhere."""
    if address.startswith("file://"):
        return os.fsdecode(
            unquote_to_bytes(address.removeprefix("file://").encode("utf-8", "surrogateescape"))
        )
    return address if "://" not in address else None


def _in_folder(place: Place, exclusion: Exclusion) -> Iterator[PhotoSource]:
    for listing in scan(place.path, exclusion, is_photo):
        if listing.problem:
            raise EnvironmentUnfit(
                f"Not all of it can be listed: {printable_utf8(listing.problem)}. Check the folder's rights."
            )
        for file in listing.files:
            moment = datetime.fromtimestamp(file.mtime_ns // 1000 / 1e6, UTC)
            yield PhotoSource(file.path, file.size, moment)


def _in_bucket(place: Place, exclusion: Exclusion) -> Iterator[PhotoSource]:
    start = len(place.path.rstrip("/")) + 1
    files = walked(place.file_system, place.path, lambda path: not exclusion.excludes_folder(path[start:]))
    for info in files:
        path = str(info["name"])
        if is_photo(path.rpartition("/")[2]) and not exclusion.excludes_file(path[start:]):
            yield source_of(address_of_path(place, path), info)


def _listed(file: IO[bytes]) -> Iterator[PhotoSource]:
    """Yield the addresses of a list: one a line, or ended by NUL as `find -print0` writes them."""
    separator, rest = b"", b""
    while block := file.read(_READ_BYTES):
        rest += block
        separator = separator or (b"\0" if b"\0" in rest else b"\n")
        *whole, rest = rest.split(separator)
        yield from map(_from_list, filter(None, whole))
    if rest:
        yield _from_list(rest)


def _from_list(entry: bytes) -> PhotoSource:
    address = entry.removesuffix(b"\r").decode("utf-8", "surrogateescape")
    return PhotoSource(address if "://" in address else os.path.abspath(expanded(address)))


def _tabled(place: Place, column: str | None, shown: str) -> Iterator[PhotoSource]:
    try:
        parts = [place.path]
        if place.file_system.isdir(place.path):
            parts = [name for name in names_below(place.file_system, place.path) if name.endswith(".parquet")]
        for part in parts:
            with place.file_system.open(part, "rb") as file:
                table = pq.ParquetFile(file)
                chosen = _column(table.schema_arrow, column, shown)
                for batch in table.iter_batches(columns=[chosen]):
                    for address in batch.column(0).to_pylist():
                        if address:
                            raw = address if isinstance(address, bytes) else address.encode()
                            yield _from_list(raw)
    except pa.ArrowInvalid:
        raise UsageError(
            f"{shown} is no Parquet table. A list of paths has another name than .parquet."
        ) from None


def _column(schema: pa.Schema, wanted: str | None, shown: str) -> str:
    texts = [field.name for field in schema if str(field.type) in ("string", "large_string", "binary")]
    candidates = [wanted] if wanted else [*_COLUMNS, *(texts if len(texts) == 1 else ())]
    for name in candidates:
        if name in texts:
            return name
    known = ", ".join(texts) or "none"
    raise UsageError(
        f"{shown} has no column {wanted or 'address'} of text. Name one with --column; it has: {known}."
    )
