"""SQLite's errors as this program's errors, each with its cure; and the check for a full disk."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, MaclipError, NoSpace, Transient
from maclip_daemon.files.os_errors import DISK_FULL, shortage
from maclip_daemon.library.storage.recovery_hints import damaged_hint

FREE_SPACE = 4 << 20  # bytes that the write-ahead log may grow by between two checkpoints
_BLOCK = 1 << 20
# SQLite does not tell a used-up quota from a broken disk: after these a file is written to see.
_NOT_WRITTEN = {
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_FSYNC,
    sqlite3.SQLITE_IOERR_DIR_FSYNC,
    sqlite3.SQLITE_IOERR_TRUNCATE,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
}


class DatabaseBusy(EnvironmentUnfit, Transient):
    """Another program holds the lock. A command gives up; the daemon tries again."""


class DatabaseFull(NoSpace):
    """The disk of the database is full, or a quota. Nothing can be recorded, so all work waits."""


class DiskFaltered(Transient):
    """The disk of the database refused a write, and takes others now."""


def translated(error: sqlite3.Error | OSError, path: Path) -> MaclipError | None:
    """Return what `error` on the database at `path` means to a user; None: a defect of this program."""
    if isinstance(error, OSError):
        if error.errno in DISK_FULL:
            return no_space(path, error.errno)
        return EnvironmentUnfit(f"{path} cannot be used: {error.strerror}. Check the folder's permissions.")
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:
        return None
    match extended & 0xFF:
        case sqlite3.SQLITE_FULL:
            return no_space(path)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return DatabaseBusy(
                f"The library {path} is locked by another program. Close what has it open for writing"
                " (a database browser, a backup), then try again."
            )
        case sqlite3.SQLITE_CORRUPT:
            return DatabaseUnfit(f"The library {path} is damaged ({error}). {damaged_hint(path)}")
        case sqlite3.SQLITE_NOTADB:
            return DatabaseUnfit(f"{path} is not a database. {damaged_hint(path)}")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return EnvironmentUnfit(
                f"The library {path} cannot be written. Check the permissions of the file and its folder."
            )
        case sqlite3.SQLITE_CANTOPEN:
            # Its journal may be what could not be opened: a full disk has no room for a new file.
            if isinstance(full := _space_error(path), DatabaseFull):
                return full
            return EnvironmentUnfit(
                f"The library {path} cannot be opened. Check that its folder exists and is yours."
            )
        case sqlite3.SQLITE_IOERR:
            return _disk_error(extended, path)
        case _:
            return None


def _disk_error(extended: int, path: Path) -> MaclipError:
    failed = f"The disk failed while the library {path} was in use. "
    if extended == sqlite3.SQLITE_IOERR_SHMMAP:
        return EnvironmentUnfit(
            f"The folder {path.parent} is on a file system that maps no files into memory, which the library"
            " uses elsewhere. Start the daemon again: it then works without. Or choose another data folder"
            " with --data-dir."
        )
    if extended not in _NOT_WRITTEN:
        return EnvironmentUnfit(f"{failed}Check the disk.")
    error = _space_error(path)
    if error is None:  # room was made meanwhile, or the disk has recovered
        return DiskFaltered(f"{failed}It can be written again now; the work is tried again.")
    return error if isinstance(error, DatabaseFull) else EnvironmentUnfit(f"{failed}Check the disk.")


def no_space(path: Path, number: int | None = None) -> DatabaseFull:
    """Return the error for a full disk of the database; for a used-up quota where `number` says so."""
    if number == errno.EDQUOT:
        quota = shortage(number, path.parent)
        return DatabaseFull(f"{quota}. Free some space there or have it raised.")
    return DatabaseFull(f"The disk that holds {path} is full. Free some space.")


def require_free_space(library: Path) -> None:
    """Raise `DatabaseFull` unless some MiB can be written beside the database.

    They are really written and flushed: that finds quotas, and file systems that promise more than they have.
    """
    if (error := _space_error(library)) is not None:
        raise error


def _space_error(library: Path) -> MaclipError | None:
    """Return why some MiB cannot be written beside the database; None when they can."""
    probe = library.with_name(f".{library.name}.room")
    try:
        try:
            probe.touch(mode=0o600)
            with probe.open("wb", buffering=0) as file:
                for _ in range(FREE_SPACE // _BLOCK):
                    rest = memoryview(os.urandom(_BLOCK))  # zeros may cost a file system nothing
                    while rest:
                        rest = rest[file.write(rest) :]
                os.fsync(file.fileno())  # some network shares check the quota here
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return translated(error, library)
    return None
