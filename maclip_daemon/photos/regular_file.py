"""Open regular files only: no link, pipe or device, and none that changes while it is read."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from maclip_daemon.errors import FileChanged, Poison, Transient
from maclip_daemon.files.signature import FileSignature

# NONBLOCK: a FIFO named x.jpg must not hang. NOFOLLOW: a link must not lead out of the watched folder.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_GONE = "it is gone. The next scan looks for it again."
# Linux: a folder opened so need not be readable, and a link in its place is an error.
_FOLDER_FLAGS = getattr(os, "O_PATH", 0) and os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading; at the end check that it stayed the same.

    No link is followed, neither to the file nor in its path: a folder replaced by a link since the last scan
    would lead out of the watched one. Raises `Poison` for anything that is no regular file, `FileChanged`
    when it is gone or its size or time changed, and `Transient` when it may not be read: programs that copy
    files often set permissions last.
    """
    try:
        # Checked before it is opened: opening a device can already have an effect.
        _check_regular(os.lstat(path).st_mode)
        descriptor = _open_without_links(path)
    except OSError as error:
        raise _as_failure(error) from None
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(descriptor)
        _check_regular(before.st_mode)
        try:
            yield file
        except Poison:
            # Half of an old file and half of a new one looks like damage.
            _check_unchanged(descriptor, path, before)
            raise
        _check_unchanged(descriptor, path, before)


def _open_without_links(path: str) -> int:
    absolute = os.path.abspath(path)
    if not hasattr(os, "O_NOFOLLOW"):  # Windows
        return os.open(absolute, _FLAGS)
    if not _FOLDER_FLAGS:
        parent = os.path.dirname(absolute)  # noqa: PTH120 - a string of any bytes
        if os.path.realpath(parent) != parent:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return os.open(absolute, _FLAGS)
    *folders, name = absolute.lstrip("/").split("/")
    folder = os.open("/", _FOLDER_FLAGS)
    try:
        for part in folders:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _check_regular(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link, which is not followed"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISCHR, "a device"),
    )
    kind = next((words for is_kind, words in kinds if is_kind(mode)), "something else")
    raise Poison(f"it is not a file but {kind}.")


def _check_unchanged(descriptor: int, path: str, before: os.stat_result) -> None:
    try:
        named = os.lstat(path)
    except FileNotFoundError:
        raise FileChanged(_GONE) from None
    except OSError as error:
        raise _as_failure(error) from None
    for now in (os.fstat(descriptor), named):
        if FileSignature.of(now) != FileSignature.of(before):
            raise FileChanged("it changed while it was read. It is tried again.")


def _as_failure(error: OSError) -> Exception:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return FileChanged(_GONE)
    if error.errno == errno.ELOOP:
        return Poison("it is not a file but a symbolic link, which is not followed.")
    if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
        return Poison("it is not a file but a socket or a device.")
    if isinstance(error, PermissionError):
        return Transient("it may not be read. Give the user that runs maclip read permission.")
    return Transient(f"it cannot be opened ({error.strerror}). Check the disk or the network.")
