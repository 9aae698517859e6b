"""When the library's file was taken away under the daemon: keep what it held, and say the way out."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, MaclipError
from maclip_daemon.library.storage import maintenance
from maclip_daemon.library.storage.file_guard import FileChanged
from maclip_daemon.library.storage.recovery_hints import command, for_damaged


def rescued(library: Path, changed: FileChanged, driver: sqlite3.Connection) -> DatabaseUnfit:
    """Keep what can be kept, and give the error to raise. `driver`: a connection that was open before."""
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    end = f"The library {library} {changed} while maclip worked with it, so nothing more is written."
    if changed.is_intact:
        kept = _copy(library, driver, library.with_name(f"{library.stem}-{stamp}.rescued.backup.db"))
        way_out = (
            for_damaged(library)
            if kept is None
            else f"What it held is in {kept}. To go on with that:"
            f" {command(library, 'db', 'restore', str(kept))}. To go on with what is there now, start the"
            " daemon again."
        )
        return DatabaseUnfit(f"{end} {way_out}")
    log = _disarm(Path(f"{library}-wal"), stamp)
    return DatabaseUnfit(
        f"{end} What is there now is left as it is; to go on with it, start the daemon again. The last"
        f" changes of the library before are in {log}."
    )


def _copy(library: Path, driver: sqlite3.Connection, kept: Path) -> Path | None:
    """Copy what this process still has open, though it has no name any more."""
    try:
        driver.execute("ROLLBACK")  # a connection with a write transaction cannot be copied
        maintenance.backup(driver, library, kept)
    except (MaclipError, sqlite3.Error, OSError):
        return None
    return kept


def _disarm(log: Path, stamp: str) -> Path:
    """Set the log's content aside and empty it: SQLite would pour it into the file at the last close."""
    aside = log.with_name(f"{log.name}.{stamp}.old")
    with suppress(OSError):
        shutil.copyfile(log, aside)
        aside.chmod(maintenance.PRIVATE)
    os.truncate(log, 0)
    return aside
