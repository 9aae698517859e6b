"""The service in a booted container, as the user's own or from the system template."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from tests.homes import make_photo, until
from tests.systemd.container import INSTALLATION, PYTHON, Container
from tests.systemd.container_root import UID, USER

HOME = Path("/home", USER)
PHOTOS = HOME / "Pictures"
PROBE = INSTALLATION / "probe.py"
SETTINGS: dict[str, dict[str, object]] = {
    "folders": {"settle_s": 0.3},
    "scoring": {"threads": 1, "batch_photos": 4},
    "jobs": {"retry_base_s": 0.1, "pause_s": 1},
    "background": {"nice": 0, "disk": "normal", "pause_on_battery": False},
}
_NUMBERS = itertools.count()
_TRACES = re.compile(r"Traceback|File \"|Fatal Python|Error\b.*:|Exception|0x[0-9a-f]{6}|\bNone\b")
_TIME = re.compile(r"\d\d:\d\d:\d\d")
_LEVEL = re.compile(r"\[(debug|info|warning|error)\s*\]")


class Service:
    """One service of the container's user, its folder of photos and its configuration."""

    unit = "maclip.service"
    data = HOME / ".local" / "share" / "maclip"
    drop_ins = HOME / ".config" / "systemd" / "user" / "maclip.service.d"
    _control: tuple[str, ...] = ("systemctl", "--user")
    _user = USER
    _journal = "_SYSTEMD_USER_UNIT=maclip.service"

    def __init__(self, container: Container) -> None:
        self.container = container
        self.photos = container.outside(PHOTOS)
        self.photos.mkdir(exist_ok=True)
        self._own(self.photos)
        self.configure()

    def configure(self, **sections: dict[str, object]) -> None:
        """Write the configuration: that of all tests, and these settings."""
        settings = {name: SETTINGS.get(name, {}) | sections.get(name, {}) for name in {*SETTINGS, *sections}}
        self.write(HOME / ".config" / "maclip" / "config.toml", tomlkit.dumps(settings))

    def install(self, **drop_in: str) -> None:
        """Install the service as its user does, and start it; `drop_in`: see `add_drop_in`."""
        if drop_in:
            self.add_drop_in(**drop_in)
        printed = self.maclip("service", "install", PHOTOS)
        assert "maclip runs, and starts at each log-in" in printed

    def add_drop_in(self, **lines: str) -> None:
        """Write a drop-in of [Service], limits of starts of [Unit]; it counts from the next start."""
        text = ""
        for name, value in lines.items():
            text += f"[{'Unit' if name.startswith('StartLimit') else 'Service'}]\n{name}={value}\n"
        self.write(self.drop_ins / "test.conf", text)
        self.control("daemon-reload")

    def write(self, path: Path, text: str) -> None:
        """Write a file; what is in the user's home is the user's."""
        outside = self.container.outside(path)
        outside.parent.mkdir(parents=True, exist_ok=True)
        outside.write_text(text, "utf-8")
        home = self.container.outside(HOME)
        for part in (outside, *outside.parents):
            if part.is_relative_to(home):
                self._own(part)

    def add_photos(self, count: int) -> list[str]:
        """Put photos into the folder that were never there, and return their names."""
        return [self._own(make_photo(self.photos / f"IMG_{n}.jpg", n)).name for n in self._next(count)]

    def add_copy(self) -> str:
        """Put a copy of a photo into the folder and return its name; it needs no scoring process."""
        photos = sorted(self.photos.glob("*.jpg"))
        if not photos:
            return self.add_photos(1)[0]
        (number,) = self._next(1)
        return self._own(Path(shutil.copy(photos[0], self.photos / f"IMG_{number}.jpg"))).name

    def rated(self) -> set[str]:
        """Return the names of the photos that have a sidecar."""
        return {path.stem for path in self.photos.glob("*.xmp")}

    def rates_a_new_photo(self) -> None:
        """Wait until a new photo has its stars."""
        name = self.add_copy()
        until(lambda: name in self.rated(), f"a rating of {name}")

    def maclip(self, *arguments: str | Path, expect: int | None = 0) -> str:
        """Run a command of the program as the user."""
        return self.container.run(PYTHON, "-m", "maclip_daemon", *arguments, user=USER, expect=expect)

    def status(self) -> dict[str, Any]:
        """Return `maclip status --json`."""
        found: dict[str, Any] = json.loads(self.maclip("status", "--json"))
        return found

    def has_scored_all(self) -> bool:
        """Return whether each photo of the folder has a score."""
        return bool(self.status()["photos"]["scored"] == len(list(self.photos.glob("*.jpg"))))

    def forget(self, names: Sequence[str]) -> None:
        """Remove photos and their sidecars."""
        for name in names:
            (self.photos / name).unlink()
            (self.photos / f"{name}.xmp").unlink(missing_ok=True)

    def probe(self) -> dict[str, str]:
        """Start the service and return what its unit refused to a program that it ran first."""
        told = PHOTOS / "probe.json"
        self.container.outside(PROBE).write_bytes(Path(__file__).with_name("probe.py").read_bytes())
        self.install(ExecStartPre=f"{PYTHON} {PROBE} {told}")
        found: dict[str, str] = json.loads(self.container.outside(told).read_text("utf-8"))
        return found

    def control(self, verb: str, *options: str, after: Sequence[str] = (), expect: int | None = 0) -> str:
        """Have the service manager do something with the service; show its log where that fails."""
        named = () if verb in ("daemon-reload", "reset-failed") else (self.unit, *after)
        done = self.container.attempt(*self._control, verb, *options, *named, user=self._user)
        printed = done.stdout + done.stderr
        if expect is not None and done.returncode != expect:
            pytest.fail(f"{verb}: {printed}{self.container.run('journalctl', '--no-pager', '--lines=30')}")
        return printed

    def set_property(self, *assignments: str) -> None:
        """Change properties of the running service."""
        self.control("set-property", "--runtime", after=assignments)

    def property(self, name: str) -> str:
        """Return a property of the service from its manager."""
        show = (*self._control, "show", self.unit, "--value", f"--property={name}")
        return self.container.run(*show, user=self._user).strip()

    def kill(self, signal: str) -> None:
        """Send a signal to the daemon alone."""
        self.container.run("kill", f"-{signal}", self.property("MainPID"))

    def has_restarted(self, times: int = 1) -> bool:
        """Return whether the manager has restarted the service so often and it is ready."""
        return self.property("NRestarts") == str(times) and self.property("ActiveState") == "active"

    def journal(self) -> list[tuple[int, str]]:
        """Return priority and text of each line that the service wrote."""
        return [(priority, text) for priority, text, _ in self.written()]

    def written(self) -> list[tuple[int, str, str]]:
        """Return priority, text and process of each line that the service wrote."""
        printed = self.container.run("journalctl", "--output=json", "--boot", self._journal)
        entries = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        return [(int(entry["PRIORITY"]), entry["MESSAGE"], entry["_PID"]) for entry in entries]

    def lines(self, words: str) -> list[tuple[int, str]]:
        """Return the lines of the journal with these words in them."""
        return [line for line in self.journal() if words in line[1]]

    def remove(self) -> None:
        """Stop the service and remove what the test changed; its library stays for the next test."""
        self.control("stop", expect=None)
        self.control("reset-failed", expect=None)
        self.container.outside(self.drop_ins / "test.conf").unlink(missing_ok=True)
        self.control("daemon-reload")

    def _own(self, path: Path) -> Path:
        os.chown(path, UID, UID)
        return path

    def _next(self, count: int) -> list[int]:
        """Return numbers of photos that no test has used."""
        return list(itertools.islice(_NUMBERS, count))


class SystemService(Service):
    """The service from the system template."""

    unit = f"maclip@{USER}.service"
    data = Path("/var/lib/maclip", USER)
    drop_ins = Path("/etc/systemd/system", f"{unit}.d")
    _control = ("systemctl",)
    _user = "root"
    _journal = f"_SYSTEMD_UNIT={unit}"
    _template = Path("/etc/systemd/system/maclip@.service")

    def install(self, **drop_in: str) -> None:
        """Write the template as docs/service.md says, and start it."""
        self.container.outside(self._template).write_text(
            self.maclip("service", "print", "--for", "system", PHOTOS), "utf-8"
        )
        if drop_in:
            self.add_drop_in(**drop_in)
        self.control("daemon-reload")
        self.control("start")

    def maclip(self, *arguments: str | Path, expect: int | None = 0) -> str:
        """Run a command of the program as the user, with the service's database."""
        command = (PYTHON, "-m", "maclip_daemon", *arguments)
        if "service" in arguments:
            return self.container.run(*command, user=USER, expect=expect)
        return self.container.run(*command, user=USER, expect=expect, MACLIP_DATA_DIR=str(self.data))

    def remove(self) -> None:
        """Stop the service and forget everything about it."""
        self.control("stop", expect=None)
        self.control("reset-failed", expect=None)
        shutil.rmtree(self.container.outside(self.drop_ins), ignore_errors=True)
        self.container.outside(self._template).unlink(missing_ok=True)
        shutil.rmtree(self.container.outside(self.data), ignore_errors=True)
        self.control("daemon-reload")


def journal_faults(lines: Sequence[tuple[int, str, str]]) -> list[str]:
    """Return the lines that no photographer should meet: doubles, traces, times and levels of our own.

    A daemon that is killed and its successor may say the same; doubles are of one process. Two imports of
    one photo each end with the same line (that each has one: tests/unit/daemon/test_work_spells.py).
    """
    faults = [text for priority, text, _ in lines if priority < 7 and _TRACES.search(text)]
    faults += [text for _, text, _ in lines if _TIME.match(text) or _LEVEL.search(text)]
    said = [(text, process) for _, text, process in lines]
    doubles = [text for (text, process), after in itertools.pairwise(said) if (text, process) == after]
    return faults + [text for text in doubles if not text.startswith("done, waiting for photos")]
