"""Restore a backup, or begin a new library: the present one is set aside, never overwritten."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, NoSpace
from maclip_daemon.files.safe_writer import flush
from maclip_daemon.library.storage import maintenance, schema
from maclip_daemon.library.storage.database_errors import translated
from maclip_daemon.library.storage.open_readonly import connect_readonly

COMPANIONS = ("", "-wal", "-shm", "-journal", ".closed")  # of a library file; they belong to it alone


def restore(library: Path, backup: Path, now: datetime) -> Path | None:
    """Replace the library by a copy of `backup`; return the folder where the old one was set aside, if any.

    Only while nobody has the library open. The backup is checked first and stays where it is. Raises
    `EnvironmentUnfit`, `DatabaseUnfit` (damaged, of another program or of a newer version), `NoSpace`; then
    the library is as it was.
    """
    _refuse_unfit(backup)
    copy = library.with_name(f".{library.name}.{os.getpid()}.partial")
    try:
        library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, maintenance.PRIVATE))
            shutil.copyfile(backup, copy)
            flush(copy)
            aside = set_aside(library, now)
            copy.replace(library)
            flush(library.parent)
        finally:
            copy.unlink(missing_ok=True)
    except OSError as error:
        known = translated(error, library)
        if isinstance(known, NoSpace):
            known = NoSpace(
                f"The disk of {library.parent} has no room for a copy of {backup}. Free some space."
            )
        raise known or error from error
    return aside


def set_aside(library: Path, now: datetime) -> Path | None:
    """Move the library and the files that belong to it into a folder beside it; None: there was nothing."""
    present = [path for ending in COMPANIONS if (path := Path(f"{library}{ending}")).exists()]
    if not present:
        return None
    folder = library.with_name(f"aside-{now:%Y-%m-%d-%H%M%S}")
    try:
        folder.mkdir(mode=0o700)
        # The log first: a library without its log is an old one, a log without its library is refused.
        for path in sorted(present, reverse=True):
            path.rename(folder / path.name)
        flush(folder)
    except OSError as error:
        raise translated(error, folder) or error from error
    return folder


def _refuse_unfit(backup: Path) -> None:
    if not backup.is_file():
        raise EnvironmentUnfit(f"There is no backup {backup}. `maclip db path` prints where backups lie.")
    try:
        with closing(connect_readonly(backup, busy_timeout_s=5.0)) as connection:
            version = schema.version_of(connection, backup)
            problems = maintenance.check(connection)
    except sqlite3.Error as error:
        raise DatabaseUnfit(f"{backup} cannot be used as a backup ({error}). Nothing was changed.") from None
    if version is schema.Version.NEWER:
        raise DatabaseUnfit(
            f"{backup} was made by a newer version of maclip-daemon. Upgrade first. Nothing was changed."
        )
    if version is schema.Version.EMPTY or problems:
        why = problems[0] if problems else "it is empty"
        raise DatabaseUnfit(f"{backup} cannot be used as a backup ({why}). Nothing was changed.")
