"""SQLite's errors as this program's errors, each with its cure; and the check for a full disk."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, MaclipError, NoSpace, Transient
from maclip_daemon.files.os_errors import DISK_FULL
from maclip_daemon.library.storage.recovery_hints import damaged_hint

FREE_SPACE = 4 << 20  # bytes that the write-ahead log may grow by between two checkpoints
_BLOCK = 1 << 20
_DISK_CODES = {sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMMAP}


class DatabaseBusy(EnvironmentUnfit, Transient):
    """Another program holds the lock. A command gives up; the daemon tries again."""


class DatabaseFull(NoSpace):
    """The disk of the database is full. Nothing can be recorded, so all work waits."""


def translated(error: sqlite3.Error | OSError, path: Path) -> MaclipError | None:
    """Return what `error` on the database at `path` means to a user; None: a defect of this program."""
    if isinstance(error, OSError):
        if error.errno in DISK_FULL:
            return no_space(path)
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
            return EnvironmentUnfit(
                f"The library {path} cannot be opened. Check that its folder exists and is yours."
            )
        case sqlite3.SQLITE_IOERR:
            if extended in _DISK_CODES:
                return no_space(path)
            return EnvironmentUnfit(
                f"The disk failed while the library {path} was in use ({error}). Check the disk."
            )
        case _:
            return None


def no_space(path: Path) -> DatabaseFull:
    """Return the error for a full disk of the database."""
    return DatabaseFull(f"The disk that holds {path} is full. Free some space; work then goes on.")


def require_free_space(library: Path) -> None:
    """Raise `DatabaseFull` unless some MiB can be written beside the database.

    They are really written: that finds quotas, and file systems that promise more than they have.
    """
    probe = library.with_name(f".{library.name}.room")
    try:
        try:
            probe.touch(mode=0o600)
            with probe.open("wb", buffering=0) as file:
                for _ in range(FREE_SPACE // _BLOCK):
                    rest = memoryview(os.urandom(_BLOCK))  # zeros may cost a file system nothing
                    while rest:
                        rest = rest[file.write(rest) :]
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise translated(error, library) or error from error
