"""Debian's Firefox, driven over WebDriver BiDi: it answers itself, without a driver program beside it."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import subprocess
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

aiohttp = pytest.importorskip("aiohttp", reason="aiohttp speaks to Firefox")

PROGRAMS = ("firefox-esr", "firefox")
_LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_NAMES = ("Escape", "End", "Home", "ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown")
_CODES = {"Tab": "\ue004", "Enter": "\ue007", "Shift": "\ue008"} | {
    name: code for name, code in zip(_NAMES, "\ue00c\ue010\ue011\ue012\ue013\ue014\ue015", strict=True)
}


class Firefox:
    """One window. Every call waits for the answer; raises `AssertionError` with what Firefox says."""

    def __init__(self, profile: Path) -> None:
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if program is None:
            pytest.skip("Firefox is not installed")
        profile.mkdir()  # Firefox makes none, and waits
        self._process = subprocess.Popen(
            [program, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        address = next(found[1] for line in self._process.stderr if (found := _LISTENS.search(line)))
        self._loop = asyncio.new_event_loop()  # Playwright has one in this thread
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._count = 0
        self._wait_for(self._connect(f"{address}/session"))
        self._ask("session.new", capabilities={})
        self._window = self._ask("browsingContext.create", type="tab")["context"]

    def _wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(180)

    async def _connect(self, address: str) -> None:
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(address, max_msg_size=0)

    def _ask(self, method: str, **params: Any) -> Any:
        async def answer() -> Any:
            await self._socket.send_json({"id": self._count, "method": method, "params": params})
            while (message := await self._socket.receive_json(timeout=120)).get("id") != self._count:
                pass
            return message

        self._count += 1
        message = self._wait_for(answer())
        assert message["type"] == "success", message
        return message["result"]

    def open(self, link: str, width: int = 1280, height: int = 800) -> None:
        viewport = {"width": width, "height": height}
        self._ask("browsingContext.setViewport", context=self._window, viewport=viewport)
        self._ask("browsingContext.navigate", context=self._window, url=link, wait="complete")

    def press(self, *keys: str) -> None:
        """Press keys together, the last one last."""
        codes = [_CODES.get(key, key) for key in keys]
        steps = [{"type": "keyDown", "value": code} for code in codes]
        steps += [{"type": "keyUp", "value": code} for code in reversed(codes)]
        self._ask(
            "input.performActions",
            context=self._window,
            actions=[{"type": "key", "id": "keys", "actions": steps}],
        )

    def click(self, x: int, y: int, count: int = 1) -> None:
        steps: list[dict[str, Any]] = [{"type": "pointerMove", "x": x, "y": y}]
        steps += [{"type": kind, "button": 0} for _ in range(count) for kind in ("pointerDown", "pointerUp")]
        self._ask(
            "input.performActions",
            context=self._window,
            actions=[{"type": "pointer", "id": "mouse", "actions": steps}],
        )

    def value(self, expression: str) -> Any:
        """Return the text, number, truth or nothing that a script comes to."""
        result = self._ask(
            "script.evaluate", expression=expression, target={"context": self._window}, awaitPromise=True
        )
        assert result["type"] == "success", result
        return result["result"].get("value")

    def text(self, selector: str) -> str:
        return str(self.value(f"document.querySelector({selector!r})?.textContent.trim() ?? ''"))

    def screenshot(self, path: Path) -> None:
        path.write_bytes(
            base64.b64decode(self._ask("browsingContext.captureScreenshot", context=self._window)["data"])
        )

    def close(self) -> None:
        self._wait_for(self._socket.close())
        self._wait_for(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._process.terminate()
        self._process.wait(30)
        assert self._process.stderr is not None
        self._process.stderr.close()
