"""Files replaced so that a crash at any moment leaves the old one or the new one, whole.

A temporary file in the same folder, flushed; then a rename over the old one, or a hard link for a new one,
which fails when the file exists meanwhile; then the folder is flushed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import blake3

from maclip_daemon.errors import FileChanged, NoSpace, ReadOnly, Transient, WriteRefused
from maclip_daemon.files import temporaries
from maclip_daemon.files.os_errors import DISK_FULL
from maclip_daemon.files.signature import FileSignature

PHOTO_LIMIT = 512 << 20  # bytes; three copies of a photo are in memory while it is embedded
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
_NO_ATTRIBUTES = {errno.EOPNOTSUPP, errno.ENOSYS}
_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def digest(data: bytes) -> str:
    """Return the BLAKE3 hash in hex."""
    return blake3.blake3(data).hexdigest()


@contextlib.contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn `OSError` into `NoSpace`, `ReadOnly`, `WriteRefused` (no permission), `FileChanged` (gone) or
    `Transient`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise NoSpace(f"The disk of {path.parent} is full. Free some space.") from None
        if error.errno == errno.EROFS:
            raise _read_only(path) from None
        if error.errno in _FORBIDDEN:
            raise WriteRefused(
                f"{path.parent} may not be written ({error.strerror}), so {path.name} cannot get its rating. "
                "Change the permissions of the folder, or set the rating mode to off."
            ) from None
        if error.errno in {errno.ENOENT, errno.ESTALE, errno.ELOOP}:
            raise FileChanged(f"{path} or its folder is gone.") from None
        raise Transient(f"{path} could not be written: {error.strerror}.") from None


def read_regular(path: Path, limit: int = PHOTO_LIMIT) -> tuple[bytes, os.stat_result]:
    """Read a whole regular file, not through a link. Raises `WriteRefused`, `FileChanged` or `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise WriteRefused(f"{path} is not a regular file.")
        if before.st_size > limit:
            raise WriteRefused(
                f"{path} has {before.st_size >> 20} MiB; more than {limit >> 20} MiB is not touched."
            )
        data = file.read()
        after = os.fstat(file.fileno())
    if FileSignature.of(before) != FileSignature.of(after) or len(data) != after.st_size:
        raise FileChanged(f"{path} changed while it was read.")
    return data, before


def digest_of(path: Path) -> str | None:
    """Return the BLAKE3 hash of a file's content in hex; None when it is no regular file."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            return None
        return digest(read_regular(path)[0])
    except (FileNotFoundError, WriteRefused):
        return None


def require_writable(path: Path) -> None:
    """Raise `WriteRefused` for a write-protected file, even as root; `ReadOnly` for a read-only disk."""
    if hasattr(os, "statvfs") and os.statvfs(path).f_flag & os.ST_RDONLY:
        raise _read_only(path)
    if not path.lstat().st_mode & _ANY_WRITE or not os.access(path, os.W_OK):
        raise WriteRefused(f"{path} is read-only and is left alone. Make it writable to have it rated.")


def _read_only(path: Path) -> ReadOnly:
    return ReadOnly(
        f"The disk of {path.parent} is mounted read-only; ratings there wait until it can be written. "
        "If it never will be, set rating.mode to off."
    )


def write_temporary(target: Path, data: bytes, like: Path | None, mode: int | None = None) -> Path:
    """Write the bytes that will replace `target` to a temporary file and return it; `flush` it before use.

    It gets the permissions, owner, extended attributes and access lists of `like`: the target itself, or for
    a new sidecar the photo, of which it takes permissions and owner only. `mode` sets other permission bits.
    """
    path = temporaries.new_path(target.parent)
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            if like is not None:
                _copy_attributes(like, file.fileno(), with_extended=like == target, mode=mode)
            file.write(data)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return path


def flush(path: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)


def _copy_attributes(like: Path, descriptor: int, *, with_extended: bool, mode: int | None) -> None:
    wanted = like.lstat()
    own = os.fstat(descriptor)
    bits = stat.S_IMODE(wanted.st_mode)
    if not with_extended:
        bits = bits & 0o666 | stat.S_IWUSR  # a sidecar is no program, and its owner may edit it
    if (own.st_uid, own.st_gid) != (wanted.st_uid, wanted.st_gid) and hasattr(os, "fchown"):
        try:
            os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
        except OSError:
            bits |= _share_with_group(like, descriptor)
    try:
        os.fchmod(descriptor, bits if mode is None else mode)
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTES | {errno.EPERM}:  # a share that has no permissions of its own
            raise
    if with_extended and hasattr(os, "listxattr"):
        for name in _extended_attributes(like):
            _copy_extended(like, descriptor, name)


def _share_with_group(like: Path, descriptor: int) -> int:
    """Set the group of a file whose owner cannot be set; return the permissions that the folder's group gets.

    In a folder that a group may write, the photo's owner could not save into our sidecar otherwise. The
    group gets them only where it may read the photo.
    """
    photo, folder = like.lstat(), like.parent.stat()
    for group in (photo.st_gid, folder.st_gid):
        with contextlib.suppress(OSError):
            os.fchown(descriptor, -1, group)
            break
    if os.fstat(descriptor).st_gid != folder.st_gid:
        return 0
    reads = stat.S_IRGRP if photo.st_gid == folder.st_gid else stat.S_IROTH
    return folder.st_mode & (stat.S_IRGRP | stat.S_IWGRP) if photo.st_mode & reads else 0


def _extended_attributes(like: Path) -> list[str]:
    try:
        return os.listxattr(like, follow_symlinks=False)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:  # a share that has none
            return []
        raise


def _copy_extended(like: Path, descriptor: int, name: str) -> None:
    try:
        os.setxattr(descriptor, name, os.getxattr(like, name, follow_symlinks=False))
    except OSError as error:
        if name.startswith(("security.", "trusted.")) or error.errno in _NO_ATTRIBUTES | {errno.ENODATA}:
            return  # the system's own labels
        if error.errno in DISK_FULL:
            raise
        raise WriteRefused(
            f"The extended attribute {name} of {like} cannot be kept ({error.strerror})."
        ) from None
