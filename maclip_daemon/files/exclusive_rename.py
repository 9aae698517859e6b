"""Rename a file unless the new name exists: one step of the kernel, or a claimed name as the last resort."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD = -100
_NOREPLACE = 1
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_SUCH_RENAME = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def create_exclusively(temporary: Path, target: Path) -> None:
    """Rename the temporary file to `target` unless that exists. Raises `FileExistsError`.

    A hard link works nearly everywhere. FAT and exFAT have none; there Linux renames without replacing. Where
    neither is known (some FUSE shares) an empty file claims the name first: `is_claim` recognises what a kill
    leaves of it.
    """
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not _rename_without_replacing(temporary, target):
            _claim_and_replace(temporary, target)
    else:
        temporary.unlink()


def _rename_without_replacing(temporary: Path, target: Path) -> bool:
    """Rename in one step; return False where the system or the file system does not know how."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # not Linux, or an old C library
        return False
    if rename(_AT_FDCWD, os.fsencode(temporary), _AT_FDCWD, os.fsencode(target), _NOREPLACE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_SUCH_RENAME:
        return False
    raise OSError(number, os.strerror(number), str(target))


def _claim_and_replace(temporary: Path, target: Path) -> None:
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        temporary.replace(target)
    except OSError:
        target.unlink()  # our empty claim is no sidecar
        raise


def is_claim(target: Path) -> bool:
    """Return whether a file that a journal entry of ours was to create is empty: a claim that a kill left."""
    try:
        return target.lstat().st_size == 0
    except OSError:
        return False
