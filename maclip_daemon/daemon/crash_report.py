"""What the program was doing when it crashed, or when the service manager ended it because it hung.

Python writes the stacks of all threads at a fatal signal: into a file for a bug report, not into the log.
"""

from __future__ import annotations

import contextlib
import faulthandler
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger("maclip")


@contextlib.contextmanager
def kept(data_dir: Path) -> Iterator[None]:
    """Have a report written if this process crashes; mention one that the last process left."""
    current, last = data_dir / "daemon.crash", data_dir / "last-crash.txt"
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # a full disk: no report
            if current.exists() and current.stat().st_size:
                current.replace(last)
                log.warning("maclip crashed or hung; attach the report to a bug report", report=str(last))
            file = stack.enter_context(current.open("wb"))
            faulthandler.enable(file)
            stack.callback(_remove, current)
            stack.callback(faulthandler.disable)
        yield


def _remove(report: Path) -> None:
    with contextlib.suppress(OSError):
        report.unlink(missing_ok=True)
