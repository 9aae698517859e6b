"""A private systemd user manager in a mount namespace, for machines not booted with systemd."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.homes import until

SYSTEMD = Path("/lib/systemd/systemd")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# A user manager starts only where /run/systemd/system exists. The manager gets
# control groups of its own, because it removes everything in them.
START = """
set -e
mkdir -p /run/systemd
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/system
for group in "$@"; do mkdir -p "$group"; echo $$ > "$group/cgroup.procs"; done
exec {systemd} --user
"""


class UserManager:
    """A running user manager, and a way to run programs that talk to it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._runtime = folder / "runtime"
        self._runtime.mkdir(mode=0o700)
        self._environment = environment | {
            "XDG_RUNTIME_DIR": str(self._runtime),
            "SYSTEMD_LOG_TARGET": "console",
        }
        places = [place for name in ("systemd", "unified") if (place := CONTROL_GROUPS / name).is_dir()]
        self._groups = [place / f"maclip-test-{os.getpid()}" for place in places or [CONTROL_GROUPS]]
        self._log = folder / "manager.log"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "sh",
                    "-c",
                    START.format(systemd=SYSTEMD),
                    "sh",
                    *map(str, self._groups),
                ],
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def is_up(self) -> bool:
        return (self._runtime / "systemd" / "private").exists()

    def start(self) -> None:
        """Wait until the manager is up; skip the test where it cannot run."""
        until(lambda: self.is_up() or self._process.poll() is not None, "the manager")
        if not self.is_up():
            output = self._log.read_text().strip().splitlines() or ["no reason given"]
            pytest.skip(f"no systemd user manager can run here: {output[-1]}")

    def call(self, *command: str | Path) -> str:
        """Run a program that can reach the manager, and return its output."""
        done = subprocess.run(
            ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", *map(str, command)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def property(self, name: str) -> str:
        """Return a property of the service from the manager."""
        return self.call("systemctl", "--user", "show", "maclip", "--value", "--property", name).strip()

    def close(self) -> None:
        """Stop the manager and everything it started."""
        if self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(60)
            self._process.kill()
        self._process.wait()
        for group in self._groups:
            below = sorted(group.rglob("*/"), reverse=True) if group.exists() else []
            for part in [*below, group]:
                with contextlib.suppress(OSError):
                    part.rmdir()


def unavailable_reason() -> str:
    """Return why no manager can run here; empty when one can."""
    if not SYSTEMD.exists() or shutil.which("systemctl") is None:
        return "systemd is not installed (Debian: systemd)"
    if shutil.which("nsenter") is None or shutil.which("unshare") is None:
        return "unshare and nsenter are not installed (Debian: util-linux)"
    if os.geteuid() != 0:
        return "a mount namespace with a tmpfs for systemd needs root"
    return ""
