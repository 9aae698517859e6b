"""The guard of the database file: it must stay the file that was opened, and its log must belong to it.

SQLite does not notice when its file is removed, replaced or overwritten. It would go on writing into a file
without a name, or mix the pages of two libraries. The usual reason is a backup that was copied back.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage.database_file import clean_shutdown
from maclip_daemon.library.storage.recovery_hints import damaged_hint

MAGIC = b"SQLite format 3\0"
_VERSIONS = slice(18, 20)  # of the file format: 1, 1 for a rollback journal, 2, 2 for a write-ahead log
_WITH_LOG = b"\x02\x02"


class DatabaseFileChanged(DatabaseUnfit):
    """The database file is no longer the one that was opened."""

    def __init__(self, what: str, *, is_intact: bool) -> None:
        """`is_intact`: the opened file has lost its name, but not its content."""
        super().__init__(what)
        self.is_intact = is_intact


class FileGuard:
    """Guards one open database file. Thread-safe while one thread at a time writes."""

    def __init__(self, library: Path) -> None:
        """Raises `OSError` when the file cannot be read."""
        self._library = library
        # Kept open until the last connection is closed: closing any descriptor of a file takes away the
        # POSIX locks that SQLite holds on it.
        self._descriptor = os.open(library, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.is_open = True
        self._size = 0
        self._log: tuple[int, int] | None = None
        self._has_log: bool | None = None

    def opened(self, *, has_log: bool) -> None:
        """Record the file as it was opened, in write-ahead mode or not: from here on it only grows."""
        self._has_log = has_log
        self._size = os.fstat(self._descriptor).st_size

    def verify_name(self) -> None:
        """Raise `DatabaseFileChanged` when another file, or none, has the library's name."""
        own = os.fstat(self._descriptor)
        try:
            found = self._library.stat()
        except FileNotFoundError:
            raise DatabaseFileChanged("was removed", is_intact=True) from None
        if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
            raise DatabaseFileChanged("was replaced by another file", is_intact=True)

    def verify(self) -> None:
        """Raise `DatabaseFileChanged` when the file or its log was exchanged. Call it in a transaction."""
        self.verify_name()
        if self._has_log is None or not hasattr(os, "pread"):
            return
        header = os.pread(self._descriptor, 20, 0)
        size = os.fstat(self._descriptor).st_size
        has_log = header[_VERSIONS] == _WITH_LOG
        if header[:16] != MAGIC or has_log != self._has_log or size < self._size:
            raise DatabaseFileChanged("was overwritten", is_intact=False)
        self._size = size
        if not has_log:
            return
        try:
            found = _log_of(self._library).stat()
        except FileNotFoundError:
            raise DatabaseFileChanged("has lost its write-ahead log", is_intact=True) from None
        log = (found.st_dev, found.st_ino)
        if self._log is not None and log != self._log:
            raise DatabaseFileChanged("has another write-ahead log", is_intact=True)
        self._log = log

    def close(self) -> None:
        """Stop guarding, after the last connection was closed."""
        os.close(self._descriptor)
        self.is_open = False


def refuse_foreign_files(library: Path) -> None:
    """Raise `DatabaseUnfit` when the file was emptied, or when the log belongs to another library.

    SQLite would delete the log of an empty file, and write it into a backup that was copied over the
    library. Call it before the first connection is opened.
    """
    log = _log_of(library)
    log_is_used = log.exists() and log.stat().st_size > 0
    if not library.exists():
        if log_is_used:
            raise DatabaseUnfit(_stray_log(library, "there is no library beside it"))
        return
    if library.stat().st_size == 0:
        if log_is_used or Path(f"{library}{clean_shutdown.ENDING}").exists():
            raise DatabaseUnfit(f"The library {library} is empty, and it was not. {damaged_hint(library)}")
        return
    if log_is_used:
        with library.open("rb") as file:
            header = file.read(20)
        if header[:16] == MAGIC and header[_VERSIONS] != _WITH_LOG:
            raise DatabaseUnfit(_stray_log(library, "the library was replaced, perhaps by a backup"))


def is_in_log_mode(library: Path) -> bool:
    """Return whether SQLite will use a write-ahead log for this file. Call it before the first connection."""
    try:
        with library.open("rb") as file:
            return file.read(20)[_VERSIONS] == _WITH_LOG
    except OSError:
        return False  # opening it raises the error


def _stray_log(library: Path, why: str) -> str:
    log = _log_of(library)
    move = shlex.join(["mv", str(log), f"{log}.old"])
    return (
        f"{log} holds the last changes of another library than {library}: {why}. Nothing was changed. Move it"
        f" away (`{move}`), then start again."
    )


def _log_of(library: Path) -> Path:
    return Path(f"{library}-wal")
