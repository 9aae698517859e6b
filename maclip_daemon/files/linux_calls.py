"""System calls of Linux that Python does not offer: `openat2`, `renameat2` and `fstatfs`.

The first two raise `OSError`, with `ENOSYS` where the system or its C library lacks the call.
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
_FILE_SERVERS = frozenset({0x6969, 0x517B, 0xFF534D42, 0xFE534D42})
"""NFS, SMB 1 in two ways, SMB 2 and 3, as statfs(2) names them."""
_IS_S390 = sys.platform == "linux" and os.uname().machine == "s390x"
_KIND = ctypes.c_uint32 if _IS_S390 else ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _StatFs(ctypes.Structure):
    """The beginning of `struct statfs`; its whole is shorter than 256 bytes on every architecture."""

    _fields_ = (("kind", _KIND), ("rest", ctypes.c_char * 256))


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


def is_on_file_server(descriptor: int) -> bool:
    """Return whether an open file is on NFS or SMB; False where the system cannot tell."""
    call = getattr(_library(), "fstatfs", None)
    found = _StatFs()
    if call is None or call(descriptor, ctypes.byref(found)):
        return False
    return found.kind & 0xFFFFFFFF in _FILE_SERVERS


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
