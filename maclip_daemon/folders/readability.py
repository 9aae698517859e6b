"""Can the files of a disk be read at all? A failing disk or share may list its folders all the same."""

from __future__ import annotations

import os
from collections.abc import Iterable

from maclip_daemon.files.os_errors import DEVICE_LOST

_PROBED_BYTES = 4096  # of each file; one block
_FAILURES = 3  # in a row are enough: a dying disk takes half a minute for each
_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


def lost_because(files: Iterable[str]) -> str:
    """Say why none of these files can be read, in the system's words.

    Empty when one of them can, or when nothing is wrong but with the files themselves.
    """
    reason, failures = "", 0
    for path in files:
        try:
            _read_anew(path)
        except OSError as error:
            if error.errno in DEVICE_LOST:
                reason, failures = error.strerror or str(error), failures + 1
            if failures == _FAILURES:
                break
        else:
            return ""
    return reason


def _read_anew(path: str) -> None:
    descriptor = os.open(path, _FLAGS)
    try:
        if hasattr(os, "posix_fadvise"):  # what is in memory would hide that the disk is gone
            os.posix_fadvise(descriptor, 0, _PROBED_BYTES, os.POSIX_FADV_DONTNEED)
        os.read(descriptor, _PROBED_BYTES)
    finally:
        os.close(descriptor)
