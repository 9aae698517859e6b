"""Handlers of signals, for as long as a block runs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def handling(*, ignored_later: bool = False, **handlers: Callable[[], None]) -> Iterator[None]:
    """Handle these signals, as far as the platform has them.

    `ignored_later`: the process ends after the block, and what comes then has nothing to end any more. Else
    they are handled as before.
    """

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        numbers[number]()

    numbers = {int(getattr(signal, name)): each for name, each in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ignored_later else handler)


class Interrupt:
    """Whether Ctrl-C or SIGTERM came."""

    def __init__(self) -> None:
        self.came = False

    def note(self) -> None:
        """Remember that it came; raise `KeyboardInterrupt` for the second one."""
        if self.came:
            raise KeyboardInterrupt
        self.came = True


@contextlib.contextmanager
def interrupts_noted() -> Iterator[Interrupt]:
    """Note Ctrl-C and SIGTERM; the block looks whether one came.

    Raised anywhere, an interrupt is lost in a callback or leaves a lock held, and while a module is executed
    it ends Python by the signal, however it is handled. A shell starts what runs in the background with
    Ctrl-C ignored; one that is sent to such a process is noted, too.
    """
    interrupt = Interrupt()
    with handling(SIGINT=interrupt.note, SIGTERM=interrupt.note):
        yield interrupt
