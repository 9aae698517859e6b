"""The service managers of Linux, macOS and Windows: path of the definition, and commands."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit

Command = tuple[str, ...]

_TIMEOUT_S = 330.0  # a start waits for the daemon's READY, which the unit gives 300 s
_PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class ServiceManager:
    """One platform's manager: its definition file and the commands that act on the service."""

    name: str
    definition: Path
    """The file that `install` writes and `uninstall` removes."""
    encoding: str
    probe: Command
    """Succeeds when the manager can be reached."""
    before_replacing: tuple[Command, ...]
    """Run when `install` replaces an earlier definition."""
    activate: tuple[Command, ...]
    deactivate: tuple[Command, ...]
    """Run before the definition is removed."""
    forget: tuple[Command, ...]
    """Run after the definition is removed."""
    start: tuple[Command, ...]
    stop: tuple[Command, ...]
    """Until the next log-in, or `start`."""
    query: Command
    linger: Command | None
    """Keeps the service running while its user is not logged in; None where that is impossible."""
    log: str
    """The command that shows the daemon's log."""

    def reachable(self) -> bool:
        """Return whether the manager responds."""
        try:
            return _run(self.probe, _PROBE_TIMEOUT_S).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def carry_out(self, commands: Sequence[Command]) -> None:
        """Run `commands` in order. Raise `EnvironmentUnfit` with the output of the first that fails."""
        for command in commands:
            try:
                ended = _run(command, _TIMEOUT_S)
            except (OSError, subprocess.TimeoutExpired):
                raise EnvironmentUnfit(
                    f"`{shlex.join(command)}` could not be run. Run it in a terminal of your desktop session."
                ) from None
            if ended.returncode != 0:
                reported = " ".join((ended.stderr or ended.stdout).split()) or f"exit code {ended.returncode}"
                raise EnvironmentUnfit(
                    f"`{shlex.join(command)}` failed: {reported.rstrip('.')}. `{self.log}` shows the log. "
                    f"The definition stays in {self.definition}."
                )

    def state(self) -> str:
        """Return the manager's report about the service, or that the manager cannot be reached."""
        try:
            ended = _run(self.query, _PROBE_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            return self._unreachable()
        return ended.stdout.strip() or self._unreachable()

    def _unreachable(self) -> str:
        manager = self.name[0].upper() + self.name[1:]
        return f"{manager} cannot be reached from here. Ask again in a terminal of your desktop session."


def systemd(environment: Mapping[str, str] = os.environ) -> ServiceManager:
    """Return the systemd manager of this user."""
    # A relative path in an XDG variable is ignored (XDG base directory specification, "Basics").
    given = environment.get("XDG_CONFIG_HOME", "")
    configuration = Path(given) if given.startswith("/") else _home(environment) / ".config"
    control = ("systemctl", "--user")
    properties = "--property=LoadState,UnitFileState,ActiveState,SubState,StatusText"
    return ServiceManager(
        name="the systemd user manager",
        definition=configuration / "systemd" / "user" / "maclip.service",
        encoding="utf-8",
        probe=(*control, "show-environment"),
        before_replacing=(),
        activate=(
            (*control, "daemon-reload"),
            (*control, "enable", "maclip.service"),
            (*control, "restart", "maclip.service"),  # starts it, or takes it over to the new folders
        ),
        deactivate=((*control, "disable", "--now", "maclip.service"),),
        forget=((*control, "daemon-reload"),),
        start=((*control, "start", "maclip.service"),),
        stop=((*control, "stop", "maclip.service"),),
        query=(*control, "show", properties, "maclip.service"),
        linger=("loginctl", "enable-linger", getpass.getuser()),
        log="journalctl --user -u maclip",
    )


def launchd(environment: Mapping[str, str] = os.environ) -> ServiceManager:
    """Return the launchd of this user's desktop session."""
    definition = _home(environment) / "Library" / "LaunchAgents" / "maclip.plist"
    return ServiceManager(
        name="launchd",
        definition=definition,
        encoding="utf-8",
        probe=("launchctl", "list"),
        before_replacing=(("launchctl", "unload", str(definition)),),
        activate=(("launchctl", "load", "-w", str(definition)),),
        deactivate=(("launchctl", "unload", "-w", str(definition)),),
        forget=(),
        start=(("launchctl", "load", str(definition)),),
        stop=(("launchctl", "unload", str(definition)),),
        query=("launchctl", "list", "maclip"),
        linger=None,
        log=f"tail {shlex.quote(str(launchd_log(environment)))}",
    )


def launchd_log(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the log file of the daemon under launchd."""
    return _home(environment) / "Library" / "Logs" / "maclip.log"


def task_scheduler(environment: Mapping[str, str] = os.environ) -> ServiceManager:
    """Return the task scheduler of Windows. It imports the definition; the file stays as a record."""
    kept_in = Path(environment.get("LOCALAPPDATA") or _home(environment) / "AppData" / "Local")
    definition = kept_in / "maclip" / "maclip-task.xml"
    return ServiceManager(
        name="the task scheduler",
        definition=definition,
        encoding="utf-16",  # the only one that every version of schtasks reads
        probe=("schtasks", "/Query", "/FO", "LIST"),
        before_replacing=(("schtasks", "/End", "/TN", "maclip"),),
        activate=(
            ("schtasks", "/Create", "/TN", "maclip", "/XML", str(definition), "/F"),
            ("schtasks", "/Run", "/TN", "maclip"),
        ),
        deactivate=(("schtasks", "/End", "/TN", "maclip"), ("schtasks", "/Delete", "/TN", "maclip", "/F")),
        forget=(),
        start=(("schtasks", "/Run", "/TN", "maclip"),),
        stop=(("schtasks", "/End", "/TN", "maclip"),),
        query=("schtasks", "/Query", "/TN", "maclip", "/FO", "LIST"),
        linger=None,
        log="maclip status",
    )


def of_this_platform(environment: Mapping[str, str] = os.environ) -> ServiceManager:
    """Return the service manager of this system."""
    if sys.platform == "darwin":
        return launchd(environment)
    if sys.platform == "win32":
        return task_scheduler(environment)
    return systemd(environment)


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment["HOME"]) if environment.get("HOME") else Path.home()


def _run(command: Command, timeout_s: float) -> subprocess.CompletedProcess[str]:
    program = shutil.which(command[0])
    if program is None:
        raise FileNotFoundError(f"{command[0]} is not installed")
    return subprocess.run(
        [program, *command[1:]],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
