"""Messages on their way out: a thread of its own delivers them, so that a slow server delays nothing else."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import structlog

Message = TypeVar("Message")

MOST_WAITING = 20  # messages; a server that hangs must not fill the memory
log = structlog.get_logger("maclip")


class Outbox(Generic[Message]):
    """Delivers messages in their order. The thread starts with the first one."""

    def __init__(self, name: str, deliver: Callable[[Message], None]) -> None:
        """`deliver` reports its failures itself, and raises nothing."""
        self._name = name
        self._deliver = deliver
        self._waiting: queue.Queue[Message | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._is_full = False

    def put(self, message: Message) -> None:
        """Have a message delivered; drop it where too many wait already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(message)
            self._is_full = False
        except queue.Full:
            if not self._is_full:
                log.warning("messages are dropped: the earlier ones are not delivered yet", to=self._name)
            self._is_full = True

    def close(self, timeout_s: float) -> None:
        """Deliver what waits, and end the thread; give up after `timeout_s`."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout_s)
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            self._deliver(message)
