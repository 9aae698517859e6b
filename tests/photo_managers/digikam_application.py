"""A real digiKam: its scans, and its window driven with mouse and keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.photo_managers.applications import (
    TIMEOUT_S,
    Installation,
    Result,
    Screen,
    Seen,
    environment_for,
    until,
    until_stable,
)

KEYS_S = 10.0  # until what keys did is in a file
LOOK_S = 0.5  # between looks at its database, each of which may disturb its start
STARTS = 6
DIGIKAM_OPTIONS = ("Use XMP Sidecar For Reading=true", "Rescan File If Modified=true")
_CONFIGURATION = """[General Settings]
Version=7.9.0
Show Splash=false
[Album Settings]
Show Splash=false
Album Path={0}
[Database Settings]
Database Type=QSQLITE
Database Name={0}/
Database Name Face={0}/
Database Name Similarity={0}/
Database Name Thumbnails={0}/
Internal Database Server=false
[Metadata Settings]
{1}
"""
# Today's digiKam would ask whether it may download models for these.
_SYSTEM = """[System]
enableFaceEngine=false
enableAIAutoTools=false
enableAesthetic=false
enableAutoTags=false
"""


class DigiKam:
    """A digiKam with its own collection, started for each scan."""

    def __init__(
        self,
        home: Path,
        screen: Screen,
        installation: Installation,
        album: Path | None = None,
        options: Sequence[str] = (),
        empty: Path | None = None,
    ) -> None:
        """Make a collection of an album. `empty`: databases to copy, because creating them takes a start."""
        self._installation = installation
        self._environment = (
            environment_for(home, screen)
            | installation.environment
            | {
                "QTWEBENGINE_DISABLE_SANDBOX": "1",
                "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu --single-process",
                "XDG_CONFIG_HOME": str(home / "configuration"),
            }
        )
        self._log = home / "digikam.log"
        self.databases = home / "databases"
        self.database = self.databases / "digikam4.db"
        configuration = home / "configuration"
        configuration.mkdir(parents=True)
        (configuration / "digikamrc").write_text(_CONFIGURATION.format(self.databases, "\n".join(options)))
        (configuration / "digikam_systemrc").write_text(_SYSTEM)
        if empty is None:
            self.databases.mkdir()
            self.database.touch()  # without it the first start opens a dialog
            self._run("select count(*) from Settings where keyword = 'DBVersion'", self.database.stat)
        else:
            shutil.copytree(empty, self.databases)
        if album is not None:
            self._add(album)

    def _add(self, album: Path) -> None:
        """Make a folder digiKam's only collection."""
        with sqlite3.connect(self.database) as connection:
            connection.execute(
                "insert into AlbumRoots (label, status, type, identifier, specificPath)"
                " values ('test', 0, 3, ?, '/')",
                (f"networkshareid:?mountpath={album}",),
            )
        connection.close()

    def scan(self, condition: str) -> dict[str, Seen]:
        """Run digiKam until an SQL condition holds, and return its photos by file name."""
        return self._run(condition, self._seen)

    def _seen(self) -> dict[str, Seen]:
        with sqlite3.connect(self.database, timeout=TIMEOUT_S) as connection:
            rows = connection.execute(
                "select i.id, i.name, n.rating from Images i left join ImageInformation n on n.imageid = i.id"
                " where i.status = 1"
            ).fetchall()
            seen = {}
            for number, name, rating in rows:
                title = connection.execute(
                    "select comment from ImageComments where imageid = ? and type = 3", (number,)
                ).fetchone()
                tags = connection.execute(
                    "select t.name, p.name from ImageTags g join Tags t on t.id = g.tagid"
                    " left join Tags p on p.id = t.pid where g.imageid = ?",
                    (number,),
                ).fetchall()
                names = [f"{parent}|{tag}" if parent else tag for tag, parent in tags]
                seen[name] = Seen(
                    None if rating is None or rating < 0 else rating,
                    title[0] if title else "",
                    tuple(sorted(tag for tag in names if not tag.startswith("_Digikam_"))),
                )
        connection.close()
        return seen

    def press_stars(self, stars: int, written: Callable[[], bool]) -> None:
        """Rate the first photo of the collection with mouse and keys until `written`."""
        with self.window() as window:
            window.rate_first(stars, written)

    @contextlib.contextmanager
    def window(self) -> Iterator[Window]:
        """Start digiKam and yield its window."""
        with self._running():
            yield Window(self._environment, self._log, self._installation.is_today)

    def _run(self, condition: str, read: Callable[[], Result]) -> Result:
        """Run digiKam until a condition holds and two readings are equal; return the last.

        Our look at its database in the wrong moment makes it give up its start: it is started once more then.
        """
        for _ in range(STARTS):
            with self._running() as process:
                self._wait(process, condition)
                if not self._has_given_up():
                    return self._stable(process, read)
        raise AssertionError(
            f"digiKam gave up {STARTS} starts: {self._log.read_text('utf-8', 'replace')[-3000:]}"
        )

    def _wait(self, process: subprocess.Popen[bytes], condition: str) -> None:
        def is_over() -> bool:
            time.sleep(LOOK_S)
            return process.poll() is not None or self._has_given_up() or self.holds(condition)

        until(is_over, condition, self._log)

    def _stable(self, process: subprocess.Popen[bytes], read: Callable[[], Result]) -> Result:
        assert process.poll() is None, self._log.read_text("utf-8", "replace")[-3000:]
        return until_stable(read, self._log)  # digiKam writes one photo in several transactions

    def _has_given_up(self) -> bool:
        return b"cannot process schema initialization" in self._log.read_bytes()

    @contextlib.contextmanager
    def _running(self) -> Iterator[subprocess.Popen[bytes]]:
        with self._log.open("wb") as output:
            process = subprocess.Popen(
                self._installation.command("digikam"),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a group with its exiftool, which digiKam does not end
            )
        try:
            yield process
        finally:
            os.killpg(process.pid, 15)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()

    def holds(self, condition: str) -> bool:
        """Return whether an SQL condition holds in digiKam's database."""
        try:
            connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=5)
            try:
                row = connection.execute(condition).fetchone()
            finally:
                connection.close()
        except sqlite3.Error:  # no table yet
            return False
        return bool(row and row[0])


class Window:
    """digiKam's window, driven with mouse and keys: it has no other interface.

    Without a window manager it is in the upper left corner. All places are for a screen of 1280 by 1024.
    """

    def __init__(self, environment: dict[str, str], log: Path, is_today: bool) -> None:
        self._environment = environment
        self._log = log
        self._album, self._first = (
            (("93", "106"), ("528", "186")) if is_today else (("95", "120"), ("430", "160"))
        )
        self._apply = ("979", "862") if is_today else ("791", "430")

    def rate_first(self, stars: int, written: Callable[[], bool]) -> None:
        """Rate the first photo, as soon as the window reacts."""

        def rated() -> bool:
            self._do(
                "mousemove", "877", "591", "click", "1"
            )  # Cancel: no face models from the network, please
            self._do("mousemove", *self._album, "click", "1")
            self._do("mousemove", *self._first, "click", "1")
            self._do("key", f"ctrl+{stars}")
            return written()

        until(rated, f"{stars} stars", self._log)

    def press_on(self, number: int, keys: str, done: Callable[[], bool]) -> None:
        """Press keys on the photo of this number, the first is 0; again where a busy window lost them."""

        def is_done() -> bool:
            self._do("mousemove", *self._first, "click", "1")
            for _ in range(number):
                self._do("key", "Right")
            self._do("key", keys)
            deadline = time.monotonic() + KEYS_S
            while not done() and time.monotonic() < deadline:
                time.sleep(0.1)
            return done()

        until(is_done, keys, self._log)

    def title_next(self, title: str, done: Callable[[], bool]) -> None:
        """Give the next photo a title. Opens the side bar, so this is the last thing to do in a window."""
        self._do("key", "Right")
        self._do("key", "alt+shift+t")
        self._do("key", "ctrl+a")
        self._do("type", title)
        self._do("mousemove", *self._apply, "click", "1")
        until(done, title, self._log)

    def rest(self, is_written: Callable[[], bool]) -> None:
        """Let digiKam write the last change: two seconds, and up to ten more until it is in a file."""
        time.sleep(2)
        deadline = time.monotonic() + 10
        while not is_written() and time.monotonic() < deadline:
            time.sleep(0.2)

    def _do(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self._environment, check=True)
        time.sleep(0.7)  # digiKam reacts and writes in the background
