"""Processor and disk priority, which threads and child processes inherit."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Literal

DiskPriority = Literal["normal", "low", "idle"]

_LOWEST_LEVEL = 7  # of the class "best effort" (ioprio_set(2))


def lower_priority(nice: int, disk: DiskPriority) -> None:
    """Lower the priorities of the calling thread, and of all threads and children that it starts later.

    `nice`: 0 to 19. A lower priority from `nice`, `ionice` or a service manager stays. Nothing happens where
    the system has no such priorities (Windows, where the scheduled task has one).
    """
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        if hasattr(os, "setpriority") and os.getpriority(os.PRIO_PROCESS, 0) < nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(OSError):
        if sys.platform == "linux" and disk != "normal":
            _lower_disk_priority(disk)


def apply_to_session(pid: int) -> None:
    """Apply the nice value of a session leader to its whole session.

    Linux first divides the processor between sessions (sched_autogroup(7)). The nice value of a process in a
    session of its own has no effect on other sessions.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel without autogroups, or the child is gone
            nice = os.getpriority(os.PRIO_PROCESS, pid)
            if nice > 0:
                Path(f"/proc/{pid}/autogroup").write_text(f"{nice}", encoding="ascii")


def _lower_disk_priority(wanted: DiskPriority) -> None:
    import psutil  # 15 ms of a start that hardly any process needs

    process = psutil.Process()
    present = process.ionice()
    if present.ioclass == psutil.IOPRIO_CLASS_IDLE:
        return
    if wanted == "idle":
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
    else:
        process.ionice(psutil.IOPRIO_CLASS_BE, _LOWEST_LEVEL)
