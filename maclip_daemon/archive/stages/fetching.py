"""A photo in storage → a file that a decoder can read, the same from its first byte to its last."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.archive.planning.listing import local_path, local_source
from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.archive.storage import Pauses, insist, place_of, source_of
from maclip_daemon.errors import FileChanged, MaclipError, PhotoMissing, Poison
from maclip_daemon.files.suffixes import suffix_of

_VERSIONS_TRIED = 3  # an object that changes more often than this while it is read, is not finished


@dataclass(frozen=True)
class LocalCopy:
    """A photo as a file on this machine."""

    path: Path
    source: PhotoSource
    """The version that was read."""
    is_copy: bool
    """False for a file that is read where it is."""

    def discard(self) -> None:
        """Remove the copy; a file that was read where it is stays."""
        if self.is_copy:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


class Fetcher:
    """Fetches objects into a folder. Thread-safe."""

    def __init__(self, spool: Path, pauses: Pauses, largest_mib: int) -> None:
        self._spool = spool
        self._pauses = pauses
        self._largest = largest_mib << 20

    def fetch(self, source: PhotoSource) -> LocalCopy:
        """Return a photo as a file, which the caller discards; one of this machine is not copied.

        Raises `PhotoMissing`, `NoPermission`, `Poison` for one that is too large, `FileChanged`, `NoSpace`,
        and `Transient` when the storage failed too often.
        """
        path = local_path(source.address)
        if path is not None:
            if not os.path.lexists(path):
                raise PhotoMissing(f"{path}: it is not there. Check the list, or the spelling.")
            now = local_source(path)
            return LocalCopy(Path(path), PhotoSource(source.address, now.size, now.mtime), is_copy=False)
        copy = self._spool / f"fetched-{secrets.token_hex(16)}{suffix_of(source.address)}"
        try:
            return LocalCopy(copy, self._download(source, copy), is_copy=True)
        except MaclipError:
            LocalCopy(copy, source, is_copy=True).discard()
            raise

    def _download(self, source: PhotoSource, copy: Path) -> PhotoSource:
        """Fetch one version of an object as a whole; return what describes it."""
        address = source.address
        place = place_of(address)

        def look() -> PhotoSource:
            return source_of(address, place.file_system.info(place.path))

        def get() -> PhotoSource:
            place.file_system.get_file(place.path, os.fspath(copy))
            found = look()
            if is_same_version(found, expected) and copy.stat().st_size != found.size:
                raise OSError("only a part of it arrived")  # the connection broke: tried again
            return found

        expected = source if source.size is not None else insist(look, self._pauses, address)
        for _ in range(_VERSIONS_TRIED):
            self._check_size(expected)
            found = insist(get, self._pauses, address)
            if is_same_version(found, expected):
                return found
            expected = found
        raise FileChanged(f"{address}: it changed each time that it was read. Run the command again later.")

    def _check_size(self, source: PhotoSource) -> None:
        if source.size is not None and source.size > self._largest:
            raise Poison(
                f"{source.address}: its {source.size >> 20} MiB are more than the setting "
                "archive.largest_file_mib. If it is a photo, raise that setting."
            )


def is_same_version(one: PhotoSource, other: PhotoSource) -> bool:
    """Return whether an object is the same as before, by its entity tag where the storage has one."""
    if one.etag is not None and other.etag is not None:
        return one.etag == other.etag
    return (one.size, one.mtime) == (other.size, other.mtime)
