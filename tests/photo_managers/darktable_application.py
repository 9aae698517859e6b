"""A real darktable, driven through Lua."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.photo_managers.applications import (
    TIMEOUT_S,
    Installation,
    Screen,
    Seen,
    environment_for,
    until,
    until_stable,
)

START_TIMEOUTS_S = (9.0, 18.0, 36.0, 72.0, 72.0, 72.0)  # a start takes 3 to 5 s; see Darktable._start
AGENT = Path(__file__).with_name("agent.lua")


class Darktable:
    """A running darktable with its own library."""

    def __init__(
        self,
        home: Path,
        screen: Screen,
        *preferences: str,
        installation: Installation,
        luarc: str | None = None,
        **environment: str,
    ) -> None:
        self.home = home
        self.installation = installation
        self.configuration = home / ".config" / "darktable"
        self._requests = home / "requests"
        self._requests.mkdir(parents=True, exist_ok=True)
        self._log = home / "darktable.log"
        self._environment = environment_for(home, screen) | installation.environment | environment
        self._environment["MACLIP_AGENT"] = str(self._requests)
        self._preferences = [
            "write_sidecar_files=after edit",
            "ui_last/window_w=1200",
            "ui_last/window_h=1000",
            *preferences,
        ]
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
        for folder in (self.home, self.configuration):
            for lock in folder.glob("*.lock"):
                lock.unlink()

    def _start(self) -> None:
        # About one start in eight of 4.2.1 never draws its window: its main loop and its Lua thread both want
        # GLib's main context. Nothing has happened yet at that point, so start it again. One start in 25 of
        # 5.4.1 hangs while it loads its views.
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
                    *self.installation.command("darktable"),
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


def develop(
    installation: Installation, home: Path, photo: Path, output: Path, sidecar: Path | None = None
) -> None:
    """Export a photo with darktable, developed with the history of a sidecar."""
    done = subprocess.run(
        [
            *installation.command("darktable-cli"),
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
        env=environment_for(home) | installation.environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert output.exists(), done.stdout + done.stderr
