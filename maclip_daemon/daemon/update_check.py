"""Notice an update of the program under a running daemon, and end the daemon once the update is complete."""

from __future__ import annotations

import math
from collections.abc import Callable

from maclip_daemon.errors import ProgramReplaced
from maclip_daemon.processes import program_files
from maclip_daemon.processes.program_files import State

CHECK_S = 10.0  # between looks at the program's files, which take milliseconds
_REPLACED = ProgramReplaced(f"{program_files.REPLACED}.")


class UpdateCheck:
    """The check of one daemon, made between its other tasks."""

    def __init__(self, clock: Callable[[], float], state: Callable[[], State] = program_files.state) -> None:
        self._clock = clock
        self._state = state
        self._at_start = self._last = state()
        self._checked = -math.inf

    def check(self) -> None:
        """Raise `ProgramReplaced` when the files were replaced and two looks in a row found them the same."""
        if self._last == self._at_start and self._clock() - self._checked < CHECK_S:
            return
        self._checked = self._clock()
        before, self._last = self._last, self._state()
        if self._last == before != self._at_start:
            raise _REPLACED

    def require_same_program(self) -> None:
        """Raise `ProgramReplaced` when the files differ: an error may come from two versions at once."""
        if self._state() != self._at_start:
            raise _REPLACED
