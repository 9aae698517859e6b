"""Move or copy a file to a new name that nothing has yet; across disks too, and never half."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path

from blake3 import blake3

from maclip_daemon.errors import Transient
from maclip_daemon.files import linux_calls, safe_writer, temporaries

_NOT_SO = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP}  # the kernel or the file system lacks the call
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def move(source: Path, target: Path) -> None:
    """Move a file. Raises `FileExistsError` when `target` is there, `Transient`, `OSError`; it stays then."""
    try:
        _rename_new(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        safe_writer.flush(target.parent)
        return
    copy(source, target)  # to another disk: the source leaves when the copy is safe there
    try:
        source.unlink()
    except OSError:
        target.unlink()  # our own copy: the file is not to be at two places
        raise


def finish_move(source: Path, target: Path) -> None:
    """Move a file, or end a move to another disk that was cut off after the copy. Raises as `move`."""
    if not os.path.lexists(target):
        move(source, target)
    elif _digest(target) == _digest(source):
        source.unlink()
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))


def copy(source: Path, target: Path) -> None:
    """Copy a file with its time and permissions, compared and flushed. Raises as `move`."""
    temporary = temporaries.new_path(target.parent)
    try:
        shutil.copy2(source, temporary, follow_symlinks=False)
        if _digest(temporary) != _digest(source):
            raise Transient(f"The copy of {source} differs from it. Check the disk of {target.parent}.")
        safe_writer.flush(temporary)
        _rename_new(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    safe_writer.flush(target.parent)


def _rename_new(source: Path, target: Path) -> None:
    try:
        linux_calls.renameat2(linux_calls.AT_FDCWD, str(source), str(target), linux_calls.NOREPLACE)
        return
    except OSError as error:
        if error.errno not in _NOT_SO:
            raise
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
    else:
        source.unlink()


def _digest(path: Path) -> bytes:
    hasher = blake3()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            hasher.update(block)
    return hasher.digest()
