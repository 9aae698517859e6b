"""Processor and disk priority, which threads and child processes inherit."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Literal

DiskPriority = Literal["normal", "low", "idle"]

_LOWEST_LEVEL = 7  # of the class "best effort" (ioprio_set(2))
_TRIES = 50  # sixteen decoders start together
_PAUSE_S = 0.1


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
    if sys.platform == "linux" and not _is_applied(pid):
        threading.Thread(target=_apply_later, args=(pid,), name=f"nice {pid}", daemon=True).start()


def _is_applied(pid: int) -> bool:
    """Apply it; return False where the kernel wants to be asked later: it takes ten changes a second."""
    try:
        nice = os.getpriority(os.PRIO_PROCESS, pid)
        if nice > 0:
            Path(f"/proc/{pid}/autogroup").write_text(f"{nice}", encoding="ascii")
    except BlockingIOError:
        return False
    except OSError:  # a kernel without autogroups, or the child is gone
        return True
    return True


def _apply_later(pid: int) -> None:
    for _ in range(_TRIES):
        time.sleep(_PAUSE_S)
        if _is_applied(pid):
            return


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
