"""The lock of a data folder: one process at a time may watch, score and rate with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from maclip_daemon.daemon import database_notice
from maclip_daemon.errors import AlreadyRunning, EnvironmentUnfit

PATIENCE_S = 1.0  # `maclip status` holds the lock for a moment to see whether a daemon runs


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the lock. Raises `AlreadyRunning` when it is taken, `EnvironmentUnfit` without permission."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = filelock.FileLock(_path(data_dir))
        lock.acquire(timeout=PATIENCE_S)
    except filelock.Timeout:
        raise AlreadyRunning(
            f"Another maclip works with {data_dir} already (`maclip status`). "
            "Stop it first, or give this one a folder of its own with --data-dir."
        ) from None
    except OSError as error:
        raise EnvironmentUnfit(
            f"The data folder {data_dir} cannot be used: {error.strerror}. "
            "Mend that (its permissions, its disk) or choose another with --data-dir."
        ) from None
    database_notice.put(data_dir, "")
    try:
        yield
    finally:
        database_notice.put(data_dir, "")
        lock.release()


def is_running(data_dir: Path) -> bool:
    """Whether a daemon (or `maclip run --once`) works with this data folder at the moment."""
    if not _path(data_dir).exists():
        return False
    lock = filelock.FileLock(_path(data_dir))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False  # somebody else's folder: whoever runs there is not ours
    lock.release()
    return False


def _path(data_dir: Path) -> Path:
    return data_dir / "daemon.lock"
