"""How often children died, or were killed because they did not answer; each is started again."""

from __future__ import annotations

import threading
from collections import Counter

_counts: Counter[str] = Counter()
_lock = threading.Lock()


def record(module: str) -> None:
    """Count the death of a child that runs `module`."""
    with _lock:
        _counts[module.rpartition(".")[2]] += 1


def counts() -> dict[str, int]:
    """Return the deaths since the start of this process, by the last part of the module's name."""
    with _lock:
        return dict(_counts)
