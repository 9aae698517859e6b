"""Permissions, owner, extended attributes and access lists of a file, copied to the one that replaces it.

A new sidecar holds what its photo holds, so it may be read by nobody who may not read the photo.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files.os_errors import DISK_FULL

_NO_ATTRIBUTES = {errno.EOPNOTSUPP, errno.ENOSYS}
_ACCESS_LIST = "system.posix_acl_access"
_READ = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH


def copy(like: int, descriptor: int, name: Path, mode: int | None, *, is_target: bool) -> None:
    """Copy to the file `descriptor` the attributes of the opened file `like`, which `name` names in messages.

    `is_target`: `like` is the file that is replaced; otherwise it is the photo of a new sidecar. `mode`:
    other permission bits. Raises `WriteRefused` for an attribute that cannot be kept, `OSError`.
    """
    wanted = os.fstat(like)
    own = os.fstat(descriptor)
    bits = stat.S_IMODE(wanted.st_mode) if mode is None else mode
    if not is_target:
        bits = bits & 0o666 | stat.S_IWUSR  # a sidecar is no program, and its owner may edit it
    if (own.st_uid, own.st_gid) != (wanted.st_uid, wanted.st_gid) and hasattr(os, "fchown"):
        try:
            os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
        except OSError:
            bits = _for_other_owner(wanted, name.parent, descriptor, bits)
    if is_target and hasattr(os, "listxattr"):
        for each in _extended_attributes(like):
            _copy_extended(like, descriptor, each, name)
    elif hasattr(os, "setxattr"):
        _copy_access_list(like, descriptor)
    try:
        os.fchmod(descriptor, bits)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES | {errno.EPERM}:  # a share that has no permissions of its own
            raise


def as_readable_as(mode: int, photo: os.stat_result) -> int:
    """Return permission bits by which nobody may read a file who may not read the photo."""
    return mode & ~(_READ & ~photo.st_mode) | stat.S_IRUSR


def _for_other_owner(like: os.stat_result, folder: Path, descriptor: int, bits: int) -> int:
    """Set the group of a file whose owner cannot be set; return its permission bits.

    In a folder that a group may write, the photo's owner could not save into our sidecar otherwise. A group
    gets them only where it may read the photo.
    """
    place = folder.stat()
    for group in (like.st_gid, place.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, -1, group)
            break
    group = os.fstat(descriptor).st_gid
    is_same = group == like.st_gid
    if not is_same:  # the bits are those of another group
        bits = bits & ~stat.S_IRWXG | (bits & stat.S_IROTH) << 3
    may_read = like.st_mode & (stat.S_IRGRP if is_same else stat.S_IROTH)
    if group != place.st_gid or not may_read:
        return bits
    return bits | place.st_mode & (stat.S_IRGRP | stat.S_IWGRP)


def _copy_access_list(like: int, descriptor: int) -> None:
    """Copy the photo's access list, or take away the one that the folder gives to new files."""
    try:
        access_list = os.getxattr(like, _ACCESS_LIST)
    except OSError:
        access_list = b""
    with contextlib.suppress(OSError):  # a file system without access lists has no wider ones either
        if access_list:
            os.setxattr(descriptor, _ACCESS_LIST, access_list)
        else:
            os.removexattr(descriptor, _ACCESS_LIST)


def _extended_attributes(like: int) -> list[str]:
    try:
        return os.listxattr(like)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:  # a share that has none
            return []
        raise


def _copy_extended(like: int, descriptor: int, attribute: str, name: Path) -> None:
    try:
        os.setxattr(descriptor, attribute, os.getxattr(like, attribute))
    except OSError as error:
        if attribute.startswith(("security.", "trusted.")) or error.errno in _NO_ATTRIBUTES | {errno.ENODATA}:
            return  # the system's own labels
        if error.errno in DISK_FULL:
            raise
        raise WriteRefused(
            f"The extended attribute {attribute} of {name} cannot be kept ({error.strerror})."
        ) from None
