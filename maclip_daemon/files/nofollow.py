"""Open files and folders without following a symbolic link anywhere in their paths.

Whoever may write a watched folder could put a link in a photo's place, or in that of a folder above it, and
so have a file read that only this user may read. What is read comes from one descriptor, opened like this.
"""

from __future__ import annotations

import errno
import os

from maclip_daemon.files import linux_calls

# NONBLOCK: a FIFO in the place of a file must not hang.
READ_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
# Linux: a folder opened so need not be readable.
_PATH_FLAGS = getattr(os, "O_PATH", 0) and os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_FLAGS = _PATH_FLAGS or READ_FLAGS | getattr(os, "O_DIRECTORY", 0)
# EPERM: from a filter of system calls. ELOOP: the slow way tells a link to a folder from one to a file.
_ASK_AGAIN = {errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.ELOOP}


def open_nofollow(path: str | os.PathLike[str], flags: int = READ_FLAGS) -> int:
    """Open a path and return the descriptor.

    Raises `OSError`: `ELOOP` where the path itself is a link, `ENOTDIR` where a folder above it is one.
    """
    absolute = os.path.abspath(path)
    try:
        return linux_calls.openat2(absolute, flags)
    except OSError as error:
        if error.errno not in _ASK_AGAIN:
            raise
    return _open_step_by_step(absolute, flags)


def open_folder(path: str | os.PathLike[str]) -> int:
    """Open a folder, to find files in it by its descriptor. Raises `OSError`."""
    return open_nofollow(path, _FOLDER_FLAGS)


def _open_step_by_step(absolute: str, flags: int) -> int:
    if not _PATH_FLAGS:
        parent = os.path.dirname(absolute)  # noqa: PTH120 - a string of any bytes
        if hasattr(os, "O_NOFOLLOW") and os.path.realpath(parent) != parent:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), absolute)
        return os.open(absolute, flags)
    *folders, name = absolute.lstrip("/").split("/")
    folder = os.open("/", _PATH_FLAGS)
    try:
        for part in folders:
            inner = os.open(part, _PATH_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name or ".", flags, dir_fd=folder)
    finally:
        os.close(folder)
