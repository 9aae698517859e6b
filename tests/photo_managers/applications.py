"""Real photo managers on a virtual screen: darktable driven through Lua, and digiKam's scans."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

TIMEOUT_S = 90.0  # generous, for a loaded machine
STABLE_S = 1.0
START_TIMEOUTS_S = (9.0, 18.0, 36.0, 72.0, 72.0, 72.0)  # a start takes 3 to 5 s; see Darktable._start
AGENT = Path(__file__).with_name("agent.lua")
Result = TypeVar("Result")


def need(*programs: str) -> None:
    """Skip the test where a program is missing; in continuous integration that is a failure."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed, and needed in continuous integration: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def until(condition: Callable[[], Any], what: str, output: Path, timeout_s: float = TIMEOUT_S) -> Any:
    """Wait until a condition is true and return its value; else fail and show the program's output."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    pytest.fail(
        f"timed out after {timeout_s:g} s waiting for: {what}\n{output.read_text('utf-8', 'replace')[-3000:]}"
    )


def until_stable(read: Callable[[], Result], output: Path) -> Result:
    """Read until two readings in a row are equal, and return the last."""
    seen = read()

    def is_stable() -> bool:
        nonlocal seen
        time.sleep(STABLE_S)
        before, seen = seen, read()
        return before == seen

    until(is_stable, "a stable state", output)
    return seen


class Screen:
    """A virtual X screen."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        arguments = ["-screen", "0", "1280x1024x24", "+extension", "GLX", "-nolisten", "tcp"]
        self._process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writing), *arguments],
            pass_fds=[writing],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writing)
        with os.fdopen(reading) as answer:
            number = answer.readline().strip()
        if not number:
            pytest.fail("Xvfb did not start")
        self.name = f":{number}"

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


def _environment(home: Path, screen: Screen | None = None) -> dict[str, str]:
    """Return an environment with its own home folder and without a session or accessibility bus."""
    for folder in (home, home / "run"):
        folder.mkdir(parents=True, exist_ok=True)
    (home / "run").chmod(0o700)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "MACLIP_"))}
    return {
        **kept,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "DISPLAY": screen.name if screen else "",
        "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
        "NO_AT_BRIDGE": "1",
        "GSETTINGS_BACKEND": "memory",
        "OMP_WAIT_POLICY": "passive",  # spinning threads take the cores from those they wait for
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }


@dataclass(frozen=True)
class Seen:
    """One photo's metadata as a photo manager reads it."""

    rating: int | None
    title: str = ""
    tags: tuple[str, ...] = ()
    duplicate: int = 0


class Darktable:
    """A running darktable with its own library."""

    def __init__(
        self, home: Path, screen: Screen, *preferences: str, luarc: str | None = None, **environment: str
    ) -> None:
        self.home = home
        self.configuration = home / ".config" / "darktable"
        self._requests = home / "requests"
        self._requests.mkdir(parents=True, exist_ok=True)
        self._log = home / "darktable.log"
        self._environment = _environment(home, screen) | {"MACLIP_AGENT": str(self._requests)} | environment
        self._preferences = ["write_sidecar_files=after edit", *preferences]
        if luarc is not None:
            self.configuration.mkdir(parents=True, exist_ok=True)
            (self.configuration / "luarc").write_text(luarc)
        self._start()

    @property
    def library(self) -> Path:
        return self.home / "library.db"

    @property
    def output(self) -> str:
        """Return everything that darktable printed."""
        return self._log.read_text("utf-8", "replace")

    def lua(self, snippet: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Run a Lua snippet inside darktable and return its result."""
        answer = self._requests / "answer.json"
        answer.unlink(missing_ok=True)
        part = self._requests / "request.part"
        part.write_text(f'local darktable = require "darktable"\n{snippet}\n', "utf-8", "surrogateescape")
        part.rename(self._requests / "request.lua")

        def answered() -> bool:
            if self._process.poll() is not None:
                pytest.fail(f"darktable ended with {self._process.returncode}\n{self.output[-3000:]}")
            return answer.exists()

        until(answered, f"darktable's answer to: {snippet}", self._log, timeout_s)
        message = json.loads(answer.read_text("utf-8"))
        if "error" in message:
            pytest.fail(f"{message['error']}\n{self.output[-2000:]}")
        return message.get("result")

    def add(self, folder: Path, photos: int) -> dict[str, Seen]:
        """Import a folder and return its photos as darktable reads them, by file name."""
        self.lua(f"darktable.database.import({quoted(folder)})")
        until(lambda: len(self.seen(folder)) >= photos, f"{photos} photos of {folder}", self._log)
        return until_stable(lambda: self.seen(folder), self._log)

    def seen(self, folder: Path) -> dict[str, Seen]:
        """Return a folder's photos as darktable has them; duplicates have a number after the name."""
        rows = self.lua(
            f"""
            local rows = {{}}
            for _, image in ipairs(darktable.database) do
              if image.path == {quoted(folder)} then
                local tags = {{}}
                for _, tag in ipairs(darktable.tags.get_tags(image)) do tags[#tags + 1] = tag.name end
                rows[#rows + 1] = {{
                  name = image.filename, rating = image.rating, title = image.title,
                  duplicate = image.duplicate_index, tags = tags,
                }}
              end
            end
            return rows
            """
        )
        return {
            row["name"] + (f" ({row['duplicate']})" if row["duplicate"] else ""): Seen(
                row["rating"],
                row["title"],
                tuple(sorted(tag for tag in row["tags"] if not tag.startswith("darktable|"))),
                row["duplicate"],
            )
            for row in rows
        }

    def press_stars(self, photo: Path, stars: int) -> None:
        """Rate a photo in darktable, which then writes its sidecar."""
        self.lua(f"local image = {find(photo)} image.rating = {stars}")

    def written(self, sidecar: Path) -> bytes:
        """Wait until darktable has written a sidecar completely, and return its bytes."""
        until(
            lambda: sidecar.exists() and sidecar.read_bytes().rstrip().endswith((b"</x:xmpmeta>", b"?>")),
            f"the whole of {sidecar}",
            self._log,
        )
        return until_stable(sidecar.read_bytes, self._log)

    def restart(self) -> None:
        """Start darktable again on the same library."""
        self.close()
        self._start()

    def close(self) -> None:
        # A regular exit waits for the running Lua script, which never ends.
        self._process.kill()
        self._process.wait()

    def _start(self) -> None:
        # About one start in eight of 4.2.1 never draws its window: its main loop and its Lua thread both want
        # GLib's main context. Nothing has happened yet at that point, so start it again.
        for attempt, timeout_s in enumerate(START_TIMEOUTS_S, start=1):
            (self._requests / "request.lua").unlink(missing_ok=True)
            self._launch()
            try:
                self.lua("return darktable.gui.current_view().id", timeout_s)
            except pytest.fail.Exception:
                self.close()
                if attempt == len(START_TIMEOUTS_S):
                    raise
            else:
                return

    def _launch(self) -> None:
        options = [part for preference in self._preferences for part in ("--conf", preference)]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    "darktable",
                    *("--configdir", str(self.configuration)),
                    *("--cachedir", str(self.home / "cache")),
                    *("--library", str(self.library)),
                    "--disable-opencl",
                    *options,
                    *("--luacmd", f"dofile({quoted(AGENT)})"),
                ],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.home,
            )


def quoted(text: str | Path) -> str:
    """Return a text as a Lua string literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in os.fsencode(text)) + '"'


def find(photo: Path) -> str:
    """Return a Lua expression for the image of a file."""
    return (
        "(function() for _, image in ipairs(darktable.database) do"
        f" if image.path == {quoted(photo.parent)} and image.filename == {quoted(photo.name)}"
        f" then return image end end error('no image ' .. {quoted(photo)}) end)()"
    )


def develop(home: Path, photo: Path, output: Path, sidecar: Path | None = None) -> None:
    """Export a photo with darktable, developed with the history of a sidecar."""
    done = subprocess.run(
        [
            "darktable-cli",
            str(photo),
            *([str(sidecar)] if sidecar else []),
            str(output),
            "--core",
            *("--configdir", str(home / "configuration")),
            *("--cachedir", str(home / "cache")),
            *("--library", ":memory:"),
            "--disable-opencl",
            *("--conf", "write_sidecar_files=never"),
        ],
        env=_environment(home),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert output.exists(), done.stdout + done.stderr


DIGIKAM_OPTIONS = ("Use XMP Sidecar For Reading=true", "Rescan File If Modified=true")


class DigiKam:
    """A digiKam with its own collection, started for each scan."""

    def __init__(self, home: Path, screen: Screen, album: Path, options: Sequence[str]) -> None:
        self._environment = _environment(home, screen) | {
            "QTWEBENGINE_DISABLE_SANDBOX": "1",
            "QTWEBENGINE_CHROMIUM_FLAGS": "--no-sandbox --disable-gpu --single-process",
            "XDG_CONFIG_HOME": str(home / "configuration"),
        }
        self._log = home / "digikam.log"
        databases = home / "databases"
        self.database = databases / "digikam4.db"
        for folder in (databases, home / "configuration"):
            folder.mkdir()
        self.database.touch()  # without it the first start opens a dialog
        (home / "configuration" / "digikamrc").write_text(
            "[General Settings]\nVersion=7.9.0\nShow Splash=false\n"
            f"[Album Settings]\nShow Splash=false\nAlbum Path={databases}\n"
            f"[Database Settings]\nDatabase Type=QSQLITE\nDatabase Name={databases}/\n"
            f"Database Name Face={databases}/\nDatabase Name Similarity={databases}/\n"
            f"Database Name Thumbnails={databases}/\nInternal Database Server=false\n"
            "[Metadata Settings]\n" + "\n".join(options) + "\n"
        )
        self._run("select count(*) from Settings where keyword = 'DBVersion'", self.database.stat)
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
        """Rate the first photo of the collection with mouse and keys until `written`.

        digiKam has no other interface. Without a window manager its window is in the upper left corner.
        """
        presses = [
            *(
                "mousemove",
                "877",
                "591",
                "click",
                "1",
                "sleep",
                "0.5",
            ),  # Cancel: no face models from the network, please
            *(
                "mousemove",
                "95",
                "120",
                "click",
                "1",
                "sleep",
                "0.5",
            ),  # the collection, in the tree of albums
            *("mousemove", "430", "160", "click", "1", "sleep", "0.5"),  # its first photo
            *("key", f"ctrl+{stars}"),
        ]

        def pressed() -> bool:
            subprocess.run(["xdotool", *presses], env=self._environment, check=True)
            time.sleep(1)  # digiKam writes in the background
            return written()

        with self._running():
            until(pressed, f"{stars} stars", self._log)

    def _run(self, condition: str, read: Callable[[], Result]) -> Result:
        """Run digiKam until a condition holds and two readings are equal; return the last."""
        with self._running() as process:
            until(lambda: process.poll() is not None or self._holds(condition), condition, self._log)
            assert process.poll() is None, self._log.read_text("utf-8", "replace")[-3000:]
            # digiKam writes one photo in several transactions.
            return until_stable(read, self._log)

    @contextlib.contextmanager
    def _running(self) -> Iterator[subprocess.Popen[bytes]]:
        with self._log.open("wb") as output:
            process = subprocess.Popen(
                ["digikam"],
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

    def _holds(self, condition: str) -> bool:
        try:
            connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=5)
            try:
                row = connection.execute(condition).fetchone()
            finally:
                connection.close()
        except sqlite3.Error:  # no table yet
            return False
        return bool(row and row[0])
