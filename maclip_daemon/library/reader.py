"""Reading the library without the daemon's machinery: one read-only connection, nothing created or migrated.

Only the standard library is imported here: SQLAlchemy alone would take half of the 0.3 s of `maclip status`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Reader = sqlite3.Connection


@contextmanager
def open_readonly(path: Path, busy_timeout_s: float = 5.0) -> Iterator[Reader]:
    """Open the library at `path` for reading only, safely beside a running daemon.

    Raises `EnvironmentUnfit` when there is none yet or it cannot be read, `DatabaseUnfit` when it is not
    ours, corrupt, or of another version than this program's.
    """
    raise NotImplementedError
    yield
