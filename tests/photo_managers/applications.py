"""What all real photo managers under test share: two installations of them, a virtual screen, waiting."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

TIMEOUT_S = 90.0  # generous, for a loaded machine
STABLE_S = 1.0
NEWER_ROOT = Path(__file__).with_name("newer_root")
SKIPPED = "MACLIP_NEWER_ROOT_SKIPPED"
"""Why today's photo managers are not there; .ci/run sets it when it cannot build them."""
Result = TypeVar("Result")


def need(*programs: str) -> None:
    """Skip the test where a program is missing; in continuous integration that is a failure."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"not installed, and needed in continuous integration: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@functools.cache
def newer_root() -> tuple[Path | None, str]:
    """Return the root with today's photo managers; None with the reason where there is none."""
    if reason := os.environ.get(SKIPPED):
        return None, reason
    if os.geteuid() != 0:
        return None, "today's photo managers run in a root of their own, which needs root rights"
    found = subprocess.run([NEWER_ROOT, "path"], capture_output=True, text=True, check=False)
    return (Path(found.stdout.strip()), "") if found.returncode == 0 else (None, found.stderr.strip())


OLDER = "installed" if newer_root()[0] is not None else "none"
"""The variant that is mostly of the long form, where today's photo managers are tested."""


@dataclass(frozen=True)
class Installation:
    """The photo managers of this system, or today's in a root of their own (`newer_root`)."""

    is_today: bool = False

    def require(self, *programs: str) -> None:
        """Skip the test where a program is missing."""
        if not self.is_today:
            need(*programs)
            return
        root, reason = newer_root()
        if root is None:
            pytest.skip(reason)
        missing = [program for program in programs if not (root / "usr/bin" / program).exists()]
        if missing:
            pytest.fail(f"not in {root}: {', '.join(missing)}")

    def command(self, program: str) -> list[str]:
        """Return the words that start a program of this installation."""
        return [str(NEWER_ROOT), "run", program] if self.is_today else [program]

    @property
    def environment(self) -> dict[str, str]:
        """Return what `newer_root run` needs: the folders of tests and checkout, and our interpreter."""
        if not self.is_today:
            return {}
        folders = (tempfile.gettempdir(), str(Path(__file__).parents[2]), os.path.realpath(sys.prefix))
        return {"NEWER_BIND": "\n".join(folders), "NEWER_OUTSIDE": sys.executable}


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


def environment_for(home: Path, screen: Screen | None = None) -> dict[str, str]:
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
