"""Stepping back behind other programs: processor and disk priority, which threads and children inherit."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Literal

import psutil

DiskPriority = Literal["normal", "low", "idle"]

_LOWEST_LEVEL = 7  # of the class "best effort" (ioprio_set(2))


def step_back(nice: int, disk: DiskPriority) -> None:
    """Lower the priorities of the calling thread, and so of all threads and children that it starts.

    `nice`: 0 to 19. Never raises a priority: what `nice`, `ionice` or a service manager gave stays when it is
    lower. Where the system has no such priorities, nothing happens (Windows has that of the task instead).
    """
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        if hasattr(os, "setpriority") and os.getpriority(os.PRIO_PROCESS, 0) < nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(OSError):
        if sys.platform == "linux" and disk != "normal":
            _lower_disk_priority(disk)


def apply_to_session(pid: int) -> None:
    """Let the nice value of a process that leads a session of its own count against other sessions.

    Linux first shares the processor between sessions (sched_autogroup(7), where no control groups do): inside
    of its own session a child could be as nice as it liked and still take half of the processor.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # a kernel without autogroups, or the child is gone
            nice = os.getpriority(os.PRIO_PROCESS, pid)
            if nice > 0:
                Path(f"/proc/{pid}/autogroup").write_text(f"{nice}", encoding="ascii")


def _lower_disk_priority(wanted: DiskPriority) -> None:
    process = psutil.Process()
    present = process.ionice()
    if present.ioclass == psutil.IOPRIO_CLASS_IDLE:
        return
    if wanted == "idle":
        process.ionice(psutil.IOPRIO_CLASS_IDLE)
    else:
        process.ionice(psutil.IOPRIO_CLASS_BE, _LOWEST_LEVEL)
