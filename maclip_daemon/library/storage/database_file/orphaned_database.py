"""A database file that was removed or replaced under the daemon: keep its content, name the cure."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, MaclipError
from maclip_daemon.library.storage import maintenance
from maclip_daemon.library.storage.database_file.file_guard import DatabaseFileChanged
from maclip_daemon.library.storage.recovery_hints import damaged_hint, maclip_command


def preserve(library: Path, changed: DatabaseFileChanged, driver: sqlite3.Connection | None) -> DatabaseUnfit:
    """Keep what can be kept; return the error to raise.

    `driver` is a connection that was open before; a file whose content was overwritten needs none.
    """
    stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    end = f"The library {library} {changed} while maclip worked with it, so nothing more is written."
    if changed.is_intact and driver is not None:
        kept = _copy(library, driver, library.with_name(f"{library.stem}-{stamp}.rescued.backup.db"))
        cure = (
            damaged_hint(library)
            if kept is None
            else f"Its content is saved in {kept}. To go on with it, run"
            f" {maclip_command(library, 'db', 'restore', str(kept))}. To go on with the present file, start"
            " the daemon again."
        )
        return DatabaseUnfit(f"{end} {cure}")
    log = Path(f"{library}-wal")
    ended = f"{end} The present file was not changed; to go on with it, start the daemon again."
    if not log.exists():
        return DatabaseUnfit(ended)
    kept_log = _empty_log(log, stamp)
    kept_in = f"are in {kept_log}" if kept_log is not None else "could not be saved: there was no room"
    return DatabaseUnfit(f"{ended} The last changes of the earlier library {kept_in}.")


def _copy(library: Path, driver: sqlite3.Connection, kept: Path) -> Path | None:
    """Copy the file that this process still has open, though it has no name any more."""
    try:
        driver.execute("ROLLBACK")  # a connection with a write transaction cannot be copied
        maintenance.backup(driver, library, kept)
    except (MaclipError, sqlite3.Error, OSError):
        return None
    return kept


def _empty_log(log: Path, stamp: str) -> Path | None:
    """Copy the log and empty it: SQLite would write it into the new file at the last close.

    Return the copy, which is beside it or in the folder of temporary files; None where there is no room.
    """
    name = f"{log.name}.{stamp}.old"
    kept = next((aside for place in _places(log) if (aside := _copied(log, place / name)) is not None), None)
    with suppress(OSError):
        os.truncate(log, 0)
    return kept


def _places(log: Path) -> tuple[Path, ...]:
    return log.parent, Path(tempfile.gettempdir())


def _copied(log: Path, aside: Path) -> Path | None:
    try:
        aside.touch(maintenance.PRIVATE, exist_ok=False)
    except OSError:
        return None
    try:
        shutil.copyfile(log, aside)
    except OSError:
        with suppress(OSError):
            aside.unlink()
        return None
    return aside
