"""Stop all threads of a process but the main one, as a hang in the kernel does."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # ptrace(2)
_ANY_THREAD = 0x40000000  # __WALL of waitpid(2)


def _ptrace(request: int, thread: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if library.ptrace(request, thread, None, None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextlib.contextmanager
def stopped_threads(pid: int) -> Iterator[int]:
    """Stop every thread of a process but its main one; yield their number, and continue them at the end."""
    stopped = []
    try:
        for thread in sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()):
            if thread != pid:
                try:
                    _ptrace(_SEIZE, thread)
                except ProcessLookupError:  # it has just ended
                    continue
                except PermissionError:
                    pytest.skip("this system does not let a program be traced (ptrace)")
                _ptrace(_INTERRUPT, thread)
                os.waitpid(thread, _ANY_THREAD)
                stopped.append(thread)
        yield len(stopped)
    finally:
        for thread in stopped:
            with contextlib.suppress(OSError):
                _ptrace(_DETACH, thread)
