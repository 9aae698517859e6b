"""Open regular files only: no link, pipe or device, and none that changes while it is read."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from maclip_daemon.errors import FileChanged, Poison, Transient
from maclip_daemon.files import nofollow
from maclip_daemon.files.signature import ExactSignature

_GONE = "it is gone. The next scan looks for it again."


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
        descriptor = nofollow.open_nofollow(path)
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
        if ExactSignature.of(now) != ExactSignature.of(before):
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
