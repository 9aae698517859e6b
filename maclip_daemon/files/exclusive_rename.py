"""Rename a file unless the new name exists: one step of the kernel, or a claimed name as the last resort."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

_AT_FDCWD = -100
_CLAIM_MAY_BE_ANOTHERS_S = 60.0
_NOREPLACE = 1
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}
_NO_SUCH_RENAME = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


def create_exclusively(temporary: Path, target: Path) -> None:
    """Rename the temporary file to `target` unless that exists. Raises `FileExistsError`.

    A hard link works nearly everywhere. FAT and exFAT have none; there Linux renames without replacing. Where
    neither is known (some FUSE shares) an empty file claims the name first, and after a kill `remove_claim`
    removes it.
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


def remove_claim(target: Path, now: float) -> bool:
    """Remove the empty file that a killed `create_exclusively` left; return whether nothing is left of it.

    Call it only for a file that was to be created. An empty file of the last minute stays: another program
    may be about to write it.
    """
    try:
        found = target.lstat()
        if found.st_size or not stat.S_ISREG(found.st_mode):
            return True
        if now - found.st_ctime < _CLAIM_MAY_BE_ANOTHERS_S:
            return False
        target.unlink()
    except FileNotFoundError:
        pass
    return True
