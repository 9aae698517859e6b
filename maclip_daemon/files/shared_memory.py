"""Tell whether programs can share memory through a file: SQLite's write-ahead log needs it.

Some FUSE and network shares map no files into memory. Copy-on-write file systems do, but a store into a
mapped page takes new space there: with a full disk or a used-up quota the kernel kills the program (SIGBUS).
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import tempfile
from pathlib import Path

_COPY_ON_WRITE = frozenset({0x9123683E, 0xCA451A4E, 0x3434})  # statfs(2): btrfs, bcachefs, nilfs2
_STATFS_BYTES = 512  # more than any system's structure; it begins with the kind


def is_safe(folder: Path) -> bool:
    """Return whether files in `folder` can be mapped, and stay writable when the disk is full.

    Raises `OSError` where no file can be made.
    """
    return _file_system_kind(folder) not in _COPY_ON_WRITE and maps_files(folder)


def maps_files(folder: Path) -> bool:
    """Return whether files in `folder` can be mapped. Raises `OSError` where no file can be made."""
    with tempfile.TemporaryFile(dir=folder) as file:
        os.ftruncate(file.fileno(), mmap.PAGESIZE)
        try:
            mmap.mmap(file.fileno(), mmap.PAGESIZE).close()
        except OSError:
            return False
    return True


def _file_system_kind(folder: Path) -> int:
    """Return the number of the kind of file system as Linux has it; 0 elsewhere, or when not known."""
    if sys.platform != "linux":
        return 0
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(folder), answer) != 0:
        return 0
    return ctypes.c_ulong.from_buffer(answer).value & 0xFFFFFFFF
