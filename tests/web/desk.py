"""A person at the review page: real photos in a real library, the real server, a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from sqlalchemy import text

from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import photo_records, raw_jpeg_pairs, root_records
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline import pairing

NOW = 1_780_000_000.0
TIMEOUT_S = 60
_LINK = re.compile(r"http://\S+")
_SET_SIZE = text("update photos set width = :width, height = :height where id = :key")
_ADD_GROUP = text(
    "insert into bursts (kind, members, is_close, first_moment, last_moment)"
    " values (:kind, :members, :close, :moment, :moment)"
)
_ADD_FRAME = text(
    "insert or replace into burst_frames"
    " (photo_id, series, moment, name_order, burst_id, burst_rank, is_stale)"
    " values ((select id from photos where file_name = :name), 1, :moment, :name,"
    " (select max(id) from bursts), :rank, 0)"
)
_RATING = re.compile(r"xmp:Rating(?:=\"|>)(-?\d)")


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until a condition is true, and return its value."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"timed out waiting for {what}")


@dataclass
class Desk:
    """A home with photos and a library; servers and windows that are closed at the end."""

    home: Path
    samples: Sequence[Path]
    browser: Browser
    servers: list[subprocess.Popen[str]] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.photos = self.home / "Pictures"
        self.photos.mkdir()
        self.data = self.home / "data"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))},
            "HOME": str(self.home),
            "MACLIP_DATA_DIR": str(self.data),
            "MACLIP_RATING__DARKTABLE_LIBRARY": "off",
            "MACLIP_RATING__SIDECAR_NAME": "full",
        }

    def fill(self, names: Sequence[str]) -> None:
        """Copy sample photos under these names, and record them with scores that grow from name to name."""
        with Library.open(self.data / "library.db") as library, library.writing() as session:
            root = root_records.root_for(session, str(self.photos), NOW)
            config = scores.scoring_config_for(session, "maclip", "test", "native")
            scores.activate(session, config.id)
            for place, name in enumerate(names):
                path = self.photos / name
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.samples[place % len(self.samples)], path)
                found = found_file(str(path))
                assert found is not None
                photo_id = photo_records.record_file(session, root, found, NOW).photo_id
                with Image.open(path) as image:
                    size = {"width": image.width, "height": image.height, "key": photo_id}
                session.execute(_SET_SIZE, size)
                row = scores.ScoreRow((place + 1) / (len(names) + 1))
                scores.record(session, config.id, [(photo_id, row)], NOW)
            raw_jpeg_pairs.link_all(session, pairing.role_of)
            rule = calibration.StarRule((10, 20, 40, 20, 10), 2, absolute_edges=(0.2, 0.4, 0.6, 0.8))
            calibration.renew(session, config.id, rule, NOW)

    def group(self, names: Sequence[str], kind: str = "burst", *, is_close: bool = False) -> None:
        """Record photos as one group, the best first, as grouping does."""
        is_ranked = kind in ("burst", "duplicate")
        with Library.open(self.data / "library.db") as library, library.writing() as session:
            group = {"kind": kind, "members": len(names), "close": is_close, "moment": len(kind)}
            session.execute(_ADD_GROUP, group)
            for place, name in enumerate(names):
                frame = {"name": name, "moment": place, "rank": place + 1 if is_ranked else None}
                session.execute(_ADD_FRAME, frame)

    def serve(self, *arguments: str, **environment: str) -> str:
        """Start `maclip review`; return the link that it prints."""
        command = [sys.executable, "-m", "maclip_daemon", "review", *arguments]
        if "--browser" not in arguments:
            command.append("--no-browser")
        if "--port" not in arguments:
            command += ["--port", "0"]
        server = subprocess.Popen(
            command,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.servers.append(server)
        assert server.stdout is not None
        said = ""
        while line := server.stdout.readline():
            said += line
            if found := _LINK.search(line):
                return found[0]
        raise AssertionError(f"maclip review ended: {said}")

    def rest_of_output(self) -> str:
        """Wait for the end of the server that was started last; return what it printed after its link.

        `Popen.communicate` would leave out what `serve` has read ahead of the link's line.
        """
        server = self.servers[-1]
        server.wait(TIMEOUT_S)
        assert server.stdout is not None
        return server.stdout.read()

    def open(self, link: str, width: int = 1280, height: int = 800, **options: Any) -> Page:
        """Open the page in a new browser window of its own, and wait for the first photo."""
        context = self.browser.new_context(viewport={"width": width, "height": height}, **options)
        self.contexts.append(context)
        return self.open_in(context, link)

    def open_in(self, context: BrowserContext, link: str) -> Page:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_S * 1000)
        page.goto(link)
        page.wait_for_url(re.compile(r"/(#.*)?$"))
        page.wait_for_selector(".cell .name:not(:empty)")
        return page

    def kill(self) -> None:
        """Kill the server that was started last, as kill -9 does."""
        self.servers[-1].send_signal(signal.SIGKILL)
        self.servers[-1].wait()

    def sidecar(self, name: str) -> Path:
        return self.photos / f"{name}.xmp"

    def rating(self, name: str) -> int | None:
        """Return the rating in a photo's sidecar; None without a sidecar."""
        try:
            found = _RATING.search(self.sidecar(name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return int(found[1]) if found else None

    def rated(self, name: str, rating: int | None) -> None:
        """Wait until a photo's sidecar has this rating."""
        until(lambda: self.rating(name) == rating, f"{name} with {rating}, not {self.rating(name)}")

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self.data / 'library.db'}?mode=ro", uri=True)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        for server in self.servers:
            if server.poll() is None:
                server.send_signal(signal.SIGTERM)
                try:
                    server.wait(20)
                except subprocess.TimeoutExpired:
                    server.kill()
                    server.wait()
            assert server.stdout is not None
            server.stdout.close()
