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
from maclip_daemon.files import attributes, nofollow, temporaries
from maclip_daemon.files.open_folder import OpenFolder
from maclip_daemon.files.os_errors import DISK_FULL, shortage
from maclip_daemon.files.signature import ExactSignature

PHOTO_LIMIT = 512 << 20  # bytes; three copies of a photo are in memory while it is embedded
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG}
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
            raise NoSpace(f"{shortage(error.errno, path.parent)}. Free some space.") from None
        if error.errno == errno.EROFS:
            raise _read_only(path) from None
        if error.errno in _FORBIDDEN and error.filename is not None:  # an opened file needs no permission
            raise _forbidden(path, error) from None
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ELOOP}:
            raise FileChanged(f"{path} or its folder is gone.") from None
        raise Transient(f"{path} could not be written: {error.strerror}.") from None


def _forbidden(path: Path, error: OSError) -> WriteRefused:
    """Return the refusal with what is to be changed: one file of the folder, or the folder."""
    name = os.path.basename(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else ""  # noqa: PTH119
    culprit = path.parent / name if name not in ("", ".") else path
    is_file = error.errno != errno.ENAMETOOLONG and culprit != path.parent and os.path.lexists(culprit)
    if is_file and os.access(path.parent, os.W_OK | os.X_OK):
        return WriteRefused(
            f"{culprit} may not be read or replaced ({error.strerror}) and is left alone. "
            "Change its permissions, owner or attributes to have the photo rated."
        )
    return WriteRefused(
        f"{path.parent} may not be written ({error.strerror}), so {path.name} cannot get its rating. "
        "Change the permissions of the folder, or set the rating mode to off."
    )


def read_regular(path: Path, limit: int = PHOTO_LIMIT) -> tuple[bytes, os.stat_result]:
    """Read a whole regular file, not through a link. Raises `WriteRefused`, `FileChanged` or `OSError`."""
    descriptor = nofollow.open_nofollow(path)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return read_opened(file.fileno(), path, limit)


def read_opened(descriptor: int, path: Path, limit: int = PHOTO_LIMIT) -> tuple[bytes, os.stat_result]:
    """Read the whole regular file behind a descriptor; the same errors as `read_regular`."""
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise WriteRefused(f"{path} is not a regular file.")
    if before.st_size > limit:
        raise WriteRefused(
            f"{path} has {before.st_size >> 20} MiB; more than {limit >> 20} MiB is not touched."
        )
    parts, position = [], 0
    while part := os.pread(descriptor, max(before.st_size - position, 0) + 1, position):
        parts.append(part)
        position += len(part)
        if position > before.st_size:
            break
    if ExactSignature.of(before) != ExactSignature.of(os.fstat(descriptor)) or position != before.st_size:
        raise FileChanged(f"{path} changed while it was read.")
    return parts[0] if len(parts) == 1 else b"".join(parts), before


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
    if not path.lstat().st_mode & _ANY_WRITE or not _may_write(path):
        raise WriteRefused(f"{path} is read-only and is left alone. Make it writable to have it rated.")


def _may_write(path: Path) -> bool:
    """Return whether the permissions allow it. Raises `OSError` when the disk, not a permission, refuses."""
    if os.access(path, os.W_OK):
        return True
    try:
        os.close(os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)))
    except PermissionError:
        return False
    return True


def _read_only(path: Path) -> ReadOnly:
    return ReadOnly(
        f"The disk of {path.parent} is mounted read-only; ratings there wait until it can be written. "
        "If it never will be, set rating.mode to off."
    )


def signature_of_temporary(path: Path) -> ExactSignature:
    """Return the signature of a temporary file; where that fails, remove the file and raise `OSError`."""
    try:
        return ExactSignature.of(path.lstat())
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def write_temporary(
    target: Path,
    data: bytes,
    like: Path | int,
    mode: int | None = None,
    unchanged: ExactSignature | None = None,
) -> Path:
    """Write the bytes that will replace `target` to a temporary file and return it; `flush` it before use.

    It gets the permissions, owner, extended attributes and access lists of `like`: the target itself, or for
    a new sidecar the opened photo (its descriptor), of which it takes permissions, access list and owner
    only. `mode` sets other permission bits. Raises `FileChanged` where `like` has not the signature
    `unchanged`.
    """
    path = temporaries.new_path(target.parent)
    with OpenFolder(target.parent) as folder:
        descriptor = folder.open(path.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            with os.fdopen(descriptor, "wb") as file, _opened(folder, like) as wanted:
                if unchanged not in (None, ExactSignature.of(os.fstat(wanted))):
                    raise FileChanged(f"{target} changed while its new content was made.")
                attributes.copy(wanted, descriptor, target, mode, is_target=like == target)
                file.write(data)
        except BaseException:
            with contextlib.suppress(OSError):
                folder.unlink(path.name)
            raise
    return path


@contextlib.contextmanager
def _opened(folder: OpenFolder, like: Path | int) -> Iterator[int]:
    if isinstance(like, int):
        yield like
        return
    descriptor = folder.open(like.name) if like.parent == folder.path else nofollow.open_nofollow(like)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def flush(path: Path) -> None:
    """Wait until a file's or a folder's content is on the disk."""
    descriptor = nofollow.open_nofollow(path)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot flush a folder
            raise
    finally:
        os.close(descriptor)
