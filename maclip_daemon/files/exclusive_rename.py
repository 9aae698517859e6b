"""Rename a file unless the new name exists: one step of the kernel, or a claimed name as the last resort."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from maclip_daemon.files import linux_calls, temporaries
from maclip_daemon.files.open_folder import OpenFolder

_CLAIM_MAY_BE_ANOTHERS_S = 60.0
_NOREPLACE = linux_calls.NOREPLACE
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV}


def create_exclusively(folder: OpenFolder, temporary: str, target: str) -> None:
    """Rename the temporary file to `target` unless that exists. Raises `FileExistsError`.

    Linux renames without replacing. Where the file system does not know that (NFS), a hard link does the
    same. Where neither is known (some FUSE shares) an empty file claims the name first, and after a kill
    `remove_claim` removes it.
    """
    if folder.rename_new(temporary, target, _NOREPLACE):
        return
    try:
        folder.link(temporary, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _claim_and_replace(folder, temporary, target)
    else:
        folder.unlink(temporary)


def _claim_and_replace(folder: OpenFolder, temporary: str, target: str) -> None:
    os.close(folder.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    try:
        folder.rename(temporary, target)
    except OSError:
        folder.unlink(target)  # our empty claim is no sidecar
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
        if -temporaries.AHEAD_S < now - found.st_ctime < _CLAIM_MAY_BE_ANOTHERS_S:
            return False
        target.unlink()
    except FileNotFoundError:
        pass
    return True
