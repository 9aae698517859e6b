"""The library's file on the disk: is it still the one that was opened, and do the files beside it belong?

SQLite does not notice when its file is removed, replaced or overwritten under it: it would go on writing into
a file without a name, or mix the pages of two libraries. A restored backup is the usual reason.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage import clean_shutdown
from maclip_daemon.library.storage.recovery_hints import for_damaged

MAGIC = b"SQLite format 3\0"
_VERSIONS = slice(18, 20)  # of the file format: 1, 1 for a rollback journal, 2, 2 for a write-ahead log
_WITH_LOG = b"\x02\x02"


class FileChanged(DatabaseUnfit):
    """The library's file is no longer what was opened."""

    def __init__(self, what: str, *, is_intact: bool) -> None:
        """`is_intact`: the opened file has lost its name, but not its content."""
        super().__init__(what)
        self.is_intact = is_intact


class FileGuard:
    """Watches over one open library file. Thread-safe while one thread at a time writes."""

    def __init__(self, library: Path) -> None:
        """Raises `OSError` when the file cannot be read."""
        self._library = library
        # Kept open until the last connection is closed: closing any descriptor of a file takes away the
        # POSIX locks that SQLite holds on it.
        self._descriptor = os.open(library, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.is_open = True
        self._size = 0
        self._log: tuple[int, int] | None = None
        self.has_log = False
        """Whether the library is in write-ahead mode by now."""

    def verify_name(self) -> None:
        """Raise `FileChanged` when another file, or none, has the library's name."""
        own = os.fstat(self._descriptor)
        try:
            found = self._library.stat()
        except FileNotFoundError:
            raise FileChanged("was removed", is_intact=True) from None
        if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
            raise FileChanged("was replaced by another file", is_intact=True)

    def verify(self) -> None:
        """Raise `FileChanged` when the file or its log is not ours any more. Inside a write transaction."""
        self.verify_name()
        if not self.has_log or not hasattr(os, "pread"):
            return
        header = os.pread(self._descriptor, 20, 0)
        size = os.fstat(self._descriptor).st_size
        if header[:16] != MAGIC or header[_VERSIONS] != _WITH_LOG or size < self._size:
            raise FileChanged("was overwritten", is_intact=False)
        self._size = size
        try:
            found = _log_of(self._library).stat()
        except FileNotFoundError:
            raise FileChanged("has lost its write-ahead log", is_intact=True) from None
        log = (found.st_dev, found.st_ino)
        if self._log is not None and log != self._log:
            raise FileChanged("has another write-ahead log", is_intact=True)
        self._log = log

    def close(self) -> None:
        """Stop watching, after the last connection was closed."""
        os.close(self._descriptor)
        self.is_open = False


def refuse_strangers(library: Path) -> None:
    """Raise `DatabaseUnfit` when the file is empty though it was not, or the log beside it is another one's.

    SQLite would delete the log of an empty file, and would pour it into a backup that was copied over the
    library. Before the first connection is opened.
    """
    log = _log_of(library)
    log_is_used = log.exists() and log.stat().st_size > 0
    if not library.exists():
        if log_is_used:
            raise DatabaseUnfit(_stray_log(library, "there is no library beside it"))
        return
    if library.stat().st_size == 0:
        if log_is_used or clean_shutdown.exists(library):
            raise DatabaseUnfit(f"The library {library} is empty, and it was not. {for_damaged(library)}")
        return
    if log_is_used:
        with library.open("rb") as file:
            header = file.read(20)
        if header[:16] == MAGIC and header[_VERSIONS] != _WITH_LOG:
            raise DatabaseUnfit(_stray_log(library, "the library was replaced, perhaps by a backup"))


def _stray_log(library: Path, why: str) -> str:
    log = _log_of(library)
    move = shlex.join(["mv", str(log), f"{log}.old"])
    return (
        f"{log} holds the last changes of another library than {library}: {why}. Nothing was changed. Move it"
        f" away (`{move}`), then start again."
    )


def _log_of(library: Path) -> Path:
    return Path(f"{library}-wal")
