"""The database file: opened and checked, written in whole transactions, backed up while in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from maclip_daemon.library.reader import Reader


class Library:
    """An open library. Close it when done; it may be used from several threads."""

    @classmethod
    def open(cls, path: Path, *, create: bool = True, busy_timeout_s: float = 60.0) -> Library:
        """Open, check and if need be migrate the library at `path`.

        Raises `DatabaseUnfit` (corrupt, of a newer version, not ours), `EnvironmentUnfit` (cannot be opened,
        or locked by another program for `busy_timeout_s`), `NoSpace`.
        """
        raise NotImplementedError

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session in one write transaction: committed at the end, rolled back on any exception."""
        raise NotImplementedError
        yield

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that sees one unchanging moment of the library."""
        raise NotImplementedError
        yield

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """Give what `queries` takes."""
        raise NotImplementedError
        yield

    def backup(self, destination: Path) -> None:
        """Copy the library as it is now to `destination`, whole or not at all, verified."""
        raise NotImplementedError

    def check(self) -> list[str]:
        """Give what is wrong with the database, one line each; nothing: it is sound."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError
