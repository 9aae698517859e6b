"""SQLite's errors as this program's errors, with a way out for the person at the keyboard."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, MaclipError, NoSpace, Transient
from maclip_daemon.files.os_errors import DISK_FULL
from maclip_daemon.library.storage.recovery_hints import for_damaged

_DISK_CODES = {sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMMAP}


class DatabaseBusy(EnvironmentUnfit, Transient):
    """Another program holds the lock: a command gives up, the daemon tries again."""


class DatabaseFull(NoSpace):
    """The disk of the library is full: nothing can be remembered, so all work waits."""


def translated(error: sqlite3.Error | OSError, path: Path) -> MaclipError | None:
    """Give the error of this program that `error` on the database at `path` means; None: a defect of ours."""
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
            return DatabaseUnfit(f"The library {path} is damaged ({error}). {for_damaged(path)}")
        case sqlite3.SQLITE_NOTADB:
            return DatabaseUnfit(f"{path} is not a database. {for_damaged(path)}")
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
    """Say that the disk of the library is full."""
    return DatabaseFull(
        f"The disk that holds {path} is full. Work goes on by itself when there is space again."
    )
