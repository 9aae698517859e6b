"""Restore a backup, or begin a new library: the present one is set aside, never overwritten.

Its journal comes along, so that `maclip undo` still restores every file. First a copy is made ready; then the
caller asks; then the copy takes the library's place.
"""

from __future__ import annotations

import glob
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, NoSpace
from maclip_daemon.files.safe_writer import flush
from maclip_daemon.library.restore.former_library import open_former
from maclip_daemon.library.restore.journal_merge import MergeReport, merge
from maclip_daemon.library.storage import maintenance, schema
from maclip_daemon.library.storage.database_errors import translated
from maclip_daemon.library.storage.database_file import replacement
from maclip_daemon.library.storage.library_identity import read_ids, write_ids
from maclip_daemon.library.storage.open_readonly import connect_readonly
from maclip_daemon.library.storage.stored_paths import restored


@dataclass(frozen=True)
class ReadyCopy:
    """A library that is ready to replace the one in use; `discard` it or let it `take_place`."""

    library: Path
    copy: Path | None
    """None: the next run makes a new library."""
    report: MergeReport

    def last_writes(self) -> Iterator[tuple[str, str]]:
        """Yield each file with changes that were not undone, and its hash after the last one."""
        if self.copy is None:
            return
        with closing(sqlite3.connect(self.copy)) as connection:
            rows = connection.execute(
                "SELECT target_path, after_hash FROM rating_journal WHERE id IN"
                " (SELECT max(id) FROM rating_journal WHERE state = 'written' GROUP BY target_path)"
            )
            for path, after_hash in rows:
                yield restored(path), after_hash

    def take_place(self, now: datetime) -> Path | None:
        """Replace the library in use; return the folder where that one is kept, if there was one.

        Raises `EnvironmentUnfit`, `NoSpace`; then the library is as it was.
        """
        with _translating(self.library):
            return replacement.replace(self.library, self.copy, now)

    def discard(self) -> None:
        """Remove the copy, if it was not used."""
        if self.copy is not None:
            self.copy.unlink(missing_ok=True)


@contextmanager
def restoring(library: Path, backup: Path | None) -> Iterator[ReadyCopy]:
    """Yield a copy of `backup` (None: a new library) with the journal of the library in use.

    Only while nobody has the library open. The backup is checked first and stays where it is. Raises
    `EnvironmentUnfit`, `DatabaseUnfit` (damaged, of another program or of a newer version), `NoSpace`; then
    the library is as it was.
    """
    if backup is not None:
        _refuse_unfit(backup)
    library.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replacement.end_cut_off(library)
    for cut_off in library.parent.glob(f".{glob.escape(library.name)}.*.partial"):
        cut_off.unlink()  # nobody else restores meanwhile
    copy = library.with_name(f".{library.name}.{os.getpid()}.partial")
    try:
        with _translating(library, backup):
            os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, maintenance.PRIVATE))
            if backup is not None:
                shutil.copyfile(backup, copy)
            _migrate(copy)
            report = _take_over(copy, library)
            flush(copy)
        nothing = backup is None and not report.added
        yield ReadyCopy(library, None if nothing else copy, report)
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def _translating(library: Path, backup: Path | None = None) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        known = translated(error, library)
        if isinstance(known, NoSpace):
            known = NoSpace(
                f"The disk of {library.parent} has no room for a copy of {backup or library}."
                " Free some space."
            )
        raise known or error from error


def _migrate(copy: Path) -> None:
    """Bring the copy to the present version."""
    with closing(sqlite3.connect(copy)) as connection:
        if schema.version_of(connection, copy) is schema.Version.PRESENT:
            return
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(copy))
    try:
        with engine.begin() as connection:
            schema.migrate(connection)
    finally:
        engine.dispose()


def _take_over(copy: Path, library: Path) -> MergeReport:
    """Merge the journal of the library in use into the copy, in one transaction."""
    if not library.exists():
        return MergeReport()
    former = open_former(library)
    if former is None:
        return MergeReport(is_readable=False)
    with closing(former), closing(sqlite3.connect(copy, isolation_level=None)) as new:
        new.execute("PRAGMA foreign_keys = ON")
        new.execute("BEGIN IMMEDIATE")
        report = merge(new, former)
        own, before = read_ids(new), former.ids()
        if own is not None and before is not None:
            write_ids(new, own, before)
        new.execute("COMMIT")
    return report


def _refuse_unfit(backup: Path) -> None:
    if not backup.is_file():
        raise EnvironmentUnfit(f"There is no backup {backup}. `maclip db path` prints where backups lie.")
    try:
        with closing(connect_readonly(backup, busy_timeout_s=5.0)) as connection:
            version = schema.version_of(connection, backup)
            problems = maintenance.check(connection)
    except sqlite3.Error:
        raise DatabaseUnfit(
            f"{backup} cannot be used as a backup: it is damaged, or no database. Nothing was changed."
        ) from None
    if version is schema.Version.NEWER:
        raise DatabaseUnfit(
            f"{backup} was made by a newer version of maclip-daemon. Upgrade first. Nothing was changed."
        )
    if version is schema.Version.EMPTY or problems:
        why = problems[0] if problems else "it is empty"
        raise DatabaseUnfit(f"{backup} cannot be used as a backup ({why}). Nothing was changed.")
