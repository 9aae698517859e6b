"""The program's own files: were they replaced while it runs?

After an update, new child processes would be of the new version and their parent of the old one. Their
messages may differ, so they must not work together.
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path

State = frozenset[tuple[str, int, int]]
_PACKAGE = Path(__file__).parents[1]

REPLACED = "maclip was updated while it runs, so it must be started again"


def state(package: Path = _PACKAGE) -> State:
    """Return path, size and modification time (ns) of each module. Takes a few milliseconds."""
    found = set()
    for folder, _, names in os.walk(package):
        for name in names:
            if name.endswith(".py"):
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):  # the upgrade is under way
                    status = os.stat(path)  # noqa: PTH116 - pathlib: thrice the time
                    found.add((path, status.st_size, status.st_mtime_ns))
    return frozenset(found)


@functools.cache
def at_start() -> State:
    """Return the state when this was first called; call it early."""
    return state()


def are_replaced() -> bool:
    """Return whether the files differ from those of `at_start`."""
    return state() != at_start()
