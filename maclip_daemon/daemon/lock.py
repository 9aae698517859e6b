"""The lock of a data folder: only one process at a time may watch, score and rate with it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import filelock

from maclip_daemon.daemon import database_notice
from maclip_daemon.errors import AlreadyRunning, EnvironmentUnfit
from maclip_daemon.files.os_errors import DISK_FULL, shortage

LOCK_TIMEOUT_S = 1.0  # `maclip status` holds the lock for a moment to see whether a daemon runs
# A service that gave up would not be started again. A command that began in the pause before its restart, as
# `maclip rate`, takes longer.
SERVICE_LOCK_TIMEOUT_S = 30.0


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the lock. Raise `AlreadyRunning` when it is taken, `EnvironmentUnfit` without permission."""
    is_service = "NOTIFY_SOCKET" in os.environ
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = filelock.FileLock(_path(data_dir))
        lock.acquire(timeout=SERVICE_LOCK_TIMEOUT_S if is_service else LOCK_TIMEOUT_S)
    except filelock.Timeout:
        raise AlreadyRunning(
            f"Another maclip process uses {data_dir} already, and finds new photos by itself "
            "(`maclip status`). To run this now, stop it first: Ctrl-C in its terminal, or "
            "`maclip service stop`. To watch another folder too, name all folders in one `maclip run`."
        ) from None
    except OSError as error:
        if error.errno in DISK_FULL:
            raise EnvironmentUnfit(
                f"{shortage(error.errno, data_dir)}. Free some space there, or choose another data folder "
                "with --data-dir."
            ) from None
        raise EnvironmentUnfit(
            f"The data folder {data_dir} cannot be used: {error.strerror}. "
            "Check its permissions and its disk, or choose another with --data-dir."
        ) from None
    database_notice.put(data_dir, "")
    try:
        yield
    finally:
        database_notice.put(data_dir, "")
        lock.release()


def is_running(data_dir: Path) -> bool:
    """Return whether a daemon or `maclip run --once` uses this data folder now."""
    if not _path(data_dir).exists():
        return False
    lock = filelock.FileLock(_path(data_dir))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False  # another user's folder, and so another user's daemon
    lock.release()
    return False


def _path(data_dir: Path) -> Path:
    return data_dir / "daemon.lock"
