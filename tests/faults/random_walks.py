"""What all random walks share: their length, their figures, and a new library to copy."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from maclip_daemon.library.storage.database import Library

# In memory where possible: the disk has tests of its own.
TEMPORARY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

walked: Counter[str] = Counter()
"""Figures of the current test's state machines."""


def walk(machine: type[RuleBasedStateMachine], examples: int, steps: int, *, full: bool) -> None:
    """Try random walks through a machine; shrink failures only in the long form.

    Shrinking takes minutes, and a walk of a few dozen steps is readable as it is.
    """
    walked.clear()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            phases=list(Phase) if full else [Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@functools.cache
def empty_library() -> Path:
    """Return a new library file to copy, because creating one takes a fifth of a second."""
    folder = Path(tempfile.mkdtemp(prefix="maclip-empty-", dir=TEMPORARY))
    atexit.register(shutil.rmtree, folder)
    Library.open(folder / "library.db").close()
    return folder / "library.db"
