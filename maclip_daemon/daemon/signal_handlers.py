"""Handlers of signals, for as long as a block runs."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def handling(**handlers: Callable[[], None]) -> Iterator[None]:
    """Handle these signals, as far as the platform has them."""

    def handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        numbers[number]()

    numbers = {int(getattr(signal, name)): each for name, each in handlers.items() if hasattr(signal, name)}
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupts_later() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait for the end of the block; raise `KeyboardInterrupt` then.

    An interrupt that comes while a module is executed would end Python by the signal, however it is handled.
    """
    came: list[bool] = []
    with handling(SIGINT=lambda: came.append(True), SIGTERM=lambda: came.append(True)):
        yield
    if came:
        raise KeyboardInterrupt
