"""System calls of Linux that Python does not offer: `openat2` and `renameat2`.

Each raises `OSError`, with `ENOSYS` where the system or its C library lacks the call.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys

AT_FDCWD = -100
NOREPLACE = 1
EXCHANGE = 2
_OPENAT2 = 437  # of every architecture
_RESOLVE_NO_SYMLINKS = 4


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def renameat2(folder: int, old: str, new: str, flag: int) -> None:
    """Rename `old` to `new`, both below the open `folder` (or `AT_FDCWD`). Raises `OSError`."""
    call = getattr(_library(), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new)
    if call(folder, _encoded(old), folder, _encoded(new), flag):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def openat2(path: str, flags: int) -> int:
    """Open an absolute path without following any symbolic link in it. Raises `OSError`."""
    library = _library()
    if library is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), path)
    how = _OpenHow(flags, 0, _RESOLVE_NO_SYMLINKS)
    encoded = _encoded(path)
    while True:
        descriptor = library.syscall(
            _OPENAT2, AT_FDCWD, encoded, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how))
        )
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number), path)


def _encoded(path: str) -> bytes:
    encoded = os.fsencode(path)
    if b"\0" in encoded:  # C would read the part before it
        raise ValueError("embedded null byte")
    return encoded


@functools.cache
def _library() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(None, use_errno=True)
    except OSError:
        return None
