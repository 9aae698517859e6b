"""A bounded folder of previews on disk; the least recently seen leave first.

A lost or damaged entry costs a decoding, nothing more. Errors of the disk are no errors of the page.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import platformdirs
from blake3 import blake3

from maclip_daemon.files import temporaries
from maclip_daemon.settings import APPLICATION

_CLOCK_SLACK_S = 3600.0  # of a file server
_KEEP = 0.9  # of the limit, after old entries were removed
_END = b"\xff\xd9"  # of a whole JPEG


def cache_folder() -> Path:
    """Return the folder of this person's previews."""
    return Path(platformdirs.user_cache_dir(APPLICATION, appauthor=False)) / "previews"


class PreviewCache:
    """JPEG pictures by key. Thread-safe."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """Use `folder`, which is made when the first picture is kept."""
        self._folder = folder
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._size: int | None = None
        """Bytes in the folder; None before they were counted."""

    def get(self, key: str) -> bytes | None:
        """Return a picture; None when it is not there, or not whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            if not data.endswith(_END):
                return None
            with contextlib.suppress(OSError):
                os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep a picture, if the disk lets us."""
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = temporaries.new_path(path.parent)
            try:
                temporary.write_bytes(data)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            self._count(len(data))

    def _path(self, key: str) -> Path:
        digest = blake3(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return self._folder / digest[:2] / f"{digest}.jpg"

    def _count(self, added: int) -> None:
        with self._lock:
            if self._size is not None:
                self._size += added
                if self._size <= self._limit:
                    return
            self._size = self._prune()

    def _prune(self) -> int:
        """Remove the oldest entries beyond the limit; return the bytes that are left."""
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                # A time of the future is of a clock that was ahead: such a picture is none of the newest.
                used_at = status.st_mtime if status.st_mtime <= time.time() + _CLOCK_SLACK_S else 0.0
                found.append((used_at, status.st_size, path))
        size = sum(each[1] for each in found)
        if size <= self._limit:
            return size
        for _, length, path in sorted(found, key=lambda each: each[0]):
            if size <= self._limit * _KEEP:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                size -= length
        return size
