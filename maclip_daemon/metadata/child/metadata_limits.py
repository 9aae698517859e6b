"""What one photo may cost the metadata child: hostile metadata leads exiv2 into loops and to great appetite.

Where the system knows no such limits (Windows), the parent's patience remains.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import ModuleType

_resource: ModuleType | None
try:
    import resource as _resource
except ImportError:
    _resource = None

MEMORY_MIB = (
    4096  # address space; embedding into the largest photo (512 MiB) takes 2.7 GiB, the threads 1 GiB
)
# Of processor time, so that a sleeping network disk does not count. A safe write takes 2 to 30 ms; an honest
# list of 200 000 keywords took 14 s.
PROCESSOR_S = 20.0


_processor_s = PROCESSOR_S


def impose(processor_s: float = PROCESSOR_S) -> None:
    """Limit the memory of this process now, and the time of each photo from now on; leave no core file."""
    global _processor_s
    _processor_s = processor_s
    if _resource is not None:
        for kind, wanted in ((_resource.RLIMIT_AS, MEMORY_MIB << 20), (_resource.RLIMIT_CORE, 0)):
            _, hard = _resource.getrlimit(kind)
            value = wanted if hard == _resource.RLIM_INFINITY else min(wanted, hard)
            with contextlib.suppress(OSError, ValueError):  # macOS knows the limit but not every value
                _resource.setrlimit(kind, (value, hard))


@contextlib.contextmanager
def limited_time() -> Iterator[None]:
    """End this process by SIGPROF when one photo takes more processor time than it may.

    The signal keeps its default action: a handler in Python would wait until exiv2 comes back.
    """
    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, _processor_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
