"""Why no daemon runs any more: a sentence that outlives it, for `maclip status`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from maclip_daemon.errors import MaclipError

_KILLED = "it was killed, or the machine stopped. Start it again; its log may have more."


@dataclass(frozen=True)
class StopReason:
    """Why the last daemon ended without being asked to."""

    reason: str
    at: float | None
    """Unix seconds; None: not known."""

    def sentence(self) -> str:
        """Return the reason with its time, as `maclip status` prints it."""
        if self.at is None:
            return self.reason
        return f"it stopped at {datetime.fromtimestamp(self.at):%Y-%m-%d %H:%M}: {self.reason}"


@contextlib.contextmanager
def recorded(data_dir: Path) -> Iterator[None]:
    """Record an error that ends the daemon; after `kill -9` it counts as killed. Hold the lock meanwhile."""
    _write(data_dir, StopReason(_KILLED, None))
    try:
        yield
    except MaclipError as error:
        _write(data_dir, StopReason(str(error), time.time()))
        raise
    with contextlib.suppress(OSError):
        _path(data_dir).unlink(missing_ok=True)


def read(data_dir: Path) -> StopReason | None:
    """Return why the last daemon ended; None when it was asked to. It counts only while none runs."""
    try:
        recorded = json.loads(_path(data_dir).read_bytes())
        at = recorded["at"]
        return StopReason(str(recorded["reason"]), None if at is None else float(at))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _write(data_dir: Path, stopped: StopReason) -> None:
    """Write the reason; on a full disk only the log has it."""
    with contextlib.suppress(OSError):
        _path(data_dir).touch(mode=0o600)
        _path(data_dir).write_text(json.dumps({"reason": stopped.reason, "at": stopped.at}), "utf-8")


def _path(data_dir: Path) -> Path:
    return data_dir / "daemon.stopped"
