"""Limits of memory and processor time for a child process that reads hostile files.

Windows knows no such limits; the parent's time-out remains.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import signal
import sys
from collections.abc import Iterator
from types import ModuleType

_resource: ModuleType | None
try:
    import resource as _resource
except ImportError:
    _resource = None

_MALLOC_ARENAS = -8  # M_ARENA_MAX of glibc's mallopt(3)


def limit_threads() -> None:
    """Limit the threads of numeric libraries, each of which reserves address space.

    Call it before they are imported. OpenBLAS starts its threads at once, before `sandbox.enter` could limit
    them; products with 3×3 matrices need none.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # not glibc
            ctypes.CDLL(None).mallopt(_MALLOC_ARENAS, 2)


def limit_memory(memory_mib: int) -> None:
    """Limit this process's address space; a crash leaves no core file."""
    if _resource is not None:
        _set_soft_limit(_resource.RLIMIT_AS, memory_mib << 20)
        _set_soft_limit(_resource.RLIMIT_CORE, 0)


def limit_processor_time(processor_s: float) -> None:
    """Let this process use `processor_s` more, in whole seconds; SIGXCPU ends it then."""
    if _resource is not None:
        usage = _resource.getrusage(_resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        _set_soft_limit(_resource.RLIMIT_CPU, math.ceil(used + processor_s) + 1)


def limit_child(process_id: int, memory_mib: int) -> None:
    """Limit the address space of another program that was just started; only Linux can."""
    if _resource is not None and hasattr(_resource, "prlimit"):
        limit = memory_mib << 20
        with contextlib.suppress(OSError, ValueError):  # it has ended already
            _resource.prlimit(process_id, _resource.RLIMIT_AS, (limit, limit))


@contextlib.contextmanager
def processor_timer(processor_s: float) -> Iterator[None]:
    """End this process by SIGPROF when the block uses more than `processor_s`; 0 means no limit.

    The signal keeps its default action: a handler in Python would wait until native code returns.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, processor_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _set_soft_limit(kind: int, value: int) -> None:
    assert _resource is not None
    _, hard = _resource.getrlimit(kind)
    if hard != _resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS knows the limit but not every value
        _resource.setrlimit(kind, (value, hard))
