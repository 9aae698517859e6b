"""An application that is loaded in a thread, once it is needed or the first pictures are on their way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from starlette.types import ASGIApp

AT_LATEST_S = 1.0  # seconds after the start, when nobody opened the page or no picture came


class LaterApp:
    """Loads an application at most once. Thread-safe."""

    def __init__(self, load: Callable[[], ASGIApp], on_failure: Callable[[], None]) -> None:
        """`on_failure`: called when `load` raised; `end` raises that again."""
        self._load = load
        self._on_failure = on_failure
        self._is_wanted = threading.Event()
        self._is_ended = False
        self._ends = asyncio.Event()
        self._future: Future[ASGIApp] = Future()
        self._thread = threading.Thread(target=self._run, name="rest of the page", daemon=True)

    @property
    def app(self) -> ASGIApp | None:
        """Return the application; None before it is loaded."""
        return self._future.result() if self._future.done() and not self._future.exception() else None

    def start(self) -> None:
        """Begin to wait for the moment to load."""
        self._future.set_running_or_notify_cancel()  # a request that is given up does not stop it
        self._thread.start()

    def begin(self) -> None:
        """Load now, unless that has begun."""
        self._is_wanted.set()

    async def loaded(self) -> ASGIApp | None:
        """Return the application once it is loaded; None when that failed, or the page ends."""
        self.begin()
        comes = asyncio.wrap_future(self._future)
        comes.add_done_callback(_take_notice)
        ends = asyncio.ensure_future(self._ends.wait())
        waits: list[asyncio.Future[Any]] = [comes, ends]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        ends.cancel()
        return self.app

    def give_up(self) -> None:
        """Let no request wait any longer; called in the event loop."""
        self._ends.set()

    def end(self) -> None:
        """Wait for the end of the loading; load nothing any more. Raises what `load` raised."""
        self._is_ended = True
        self.begin()
        self._thread.join()
        if self._future.done():
            self._future.result()

    def _run(self) -> None:
        self._is_wanted.wait(AT_LATEST_S)
        if self._is_ended:
            return
        try:
            self._future.set_result(self._load())
        except Exception as error:  # noqa: BLE001 - raised again by `end`, in the main thread
            self._future.set_exception(error)
            self._on_failure()


def _take_notice(future: asyncio.Future[ASGIApp]) -> None:
    """Look at the error of a future, which asyncio would print otherwise: `LaterApp.end` raises it."""
    if not future.cancelled():
        future.exception()
