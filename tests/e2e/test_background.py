"""The daemon runs at low priority and pauses on battery."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.homes import Home, make_photos, until

if sys.platform != "linux":
    pytest.skip("priorities and supplies are read as Linux keeps them", allow_module_level=True)

SUPPLIES = "/sys/class/power_supply"


def family(daemon: psutil.Process) -> list[psutil.Process]:
    return [daemon, *daemon.children()]


def niceness(home: Home, pid: int, children: int = 3) -> set[tuple[int, int, int]]:
    """Return (nice, disk class, disk level) of the daemon and its children, once so many have started."""
    seen: dict[int, tuple[int, int, int]] = {}

    def have_started() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in family(psutil.Process(pid)):
                seen[process.pid] = (process.nice(), *map(int, process.ionice()))
        return len(seen) > children

    until(have_started, "decoder, scorer and metadata process")
    return set(seen.values())


def test_all_processes_of_the_daemon_have_the_priorities_of_the_settings(home: Home) -> None:
    make_photos(home.photos, 8)
    own = psutil.Process().nice()
    daemon = home.daemon(MACLIP_BACKGROUND__NICE="13", MACLIP_BACKGROUND__DISK="idle")
    assert niceness(home, daemon.pid) == {(max(13, own), int(psutil.IOPRIO_CLASS_IDLE), 0)}


def test_priorities_are_low_by_default_and_a_reload_lowers_them_further(home: Home) -> None:
    make_photos(home.photos, 8)
    del home.environment["MACLIP_BACKGROUND__NICE"]
    daemon = home.daemon()
    assert niceness(home, daemon.pid) == {(10, int(psutil.IOPRIO_CLASS_BE), 7)}
    settings = home.folder / ".config" / "maclip" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[background]\nnice = 15\n")
    home.maclip("config", "validate")
    daemon.send_signal(1)
    until(lambda: psutil.Process(daemon.pid).nice() == 15, "the new priority")
    make_photos(home.photos, 8, first=20)

    def a_new_child() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):  # an old child just ended
            return any(child.nice() == 15 for child in psutil.Process(daemon.pid).children())
        return False

    until(a_new_child, "a new child")


def test_one_pass_in_the_foreground_keeps_its_priority(home: Home) -> None:
    make_photos(home.photos, 8)
    process = psutil.Popen(
        [sys.executable, "-m", "maclip_daemon", "run", "--once", home.photos],
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        own = psutil.Process()
        assert niceness(home, process.pid, children=2) == {(own.nice(), *map(int, own.ionice()))}
        assert process.wait(120) == 0
    finally:
        if process.is_running():
            process.kill()
            process.wait()


@pytest.fixture
def supplies(tmp_path: Path) -> Path:
    """Return a folder that the daemon of `on_machine` sees as the machine's power supplies."""
    folder = tmp_path / "power_supply"
    for name, kind in (("AC", "Mains"), ("BAT0", "Battery")):
        (folder / name).mkdir(parents=True)
        (folder / name / "type").write_text(kind)
    plug(folder, plugged=True)
    if not Path(SUPPLIES).is_dir():
        pytest.skip(f"this kernel has no {SUPPLIES}")
    mount = ["unshare", "-m", "mount", "--bind", str(folder), SUPPLIES]
    if shutil.which("unshare") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mount namespaces are not available here (root is needed)")
    return folder


def plug(supplies: Path, *, plugged: bool) -> None:
    (supplies / "AC" / "online").write_text(str(int(plugged)))
    (supplies / "BAT0" / "status").write_text("Charging" if plugged else "Discharging")


@contextlib.contextmanager
def on_machine(home: Home, supplies: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon on a machine with these power supplies."""
    script = f'mount --bind "$0" {SUPPLIES} && exec "$@"'
    command = [sys.executable, "-m", "maclip_daemon", "run", str(home.photos)]
    with (home.folder / "daemon.log").open("ab") as log:
        daemon = subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script, str(supplies), *command],
            env=home.environment | environment,
            stdout=log,
            stderr=log,
        )
    try:
        yield daemon
    finally:
        daemon.terminate()
        daemon.wait(60)


def paused(home: Home) -> str:
    """Return the lines of `maclip status` about pauses."""
    output = home.maclip("status", expect=None).stdout
    return "\n".join(line for line in output.splitlines() if line.startswith("paused"))


def test_scoring_pauses_on_battery_and_resumes_when_plugged_in(home: Home, supplies: Path) -> None:
    make_photos(home.photos, 3)
    del home.environment["MACLIP_BACKGROUND__PAUSE_ON_BATTERY"]
    plug(supplies, plugged=False)
    with on_machine(home, supplies, MACLIP_JOBS__PAUSE_S="1"):
        until(lambda: "runs on battery" in paused(home), "the pause in status")
        until(lambda: home.sql("select count(*) from jobs") == [(3,)], "photos are found all the same")
        time.sleep(1)  # long enough for a daemon that did not pause to score them
        assert home.scored() == {}
        plug(supplies, plugged=True)
        until(lambda: len(home.scored()) == 3, "all photos scored")
        until(lambda: paused(home) == "", "no pause in status")
        plug(supplies, plugged=False)
        until(lambda: "background.pause_on_battery" in paused(home), "the pause in status again")
        make_photos(home.photos, 1, first=10)
        until(lambda: home.sql("select count(*) from jobs where kind = 'score'") == [(1,)], "the new photo")
        time.sleep(1)
        assert len(home.scored()) == 3
        plug(supplies, plugged=True)
        until(lambda: len(home.scored()) == 4, "the new photo scored")
    log = (home.folder / "daemon.log").read_text()
    assert log.count("] paused") == log.count("] resumed") == 2, log


@pytest.mark.long_form
def test_the_pause_on_battery_can_be_switched_off(home: Home, supplies: Path) -> None:
    make_photos(home.photos, 2)
    plug(supplies, plugged=False)
    with on_machine(home, supplies):  # `Home` switches the pause off, so that tests run on laptops too
        until(lambda: len(home.scored()) == 2, "the photos scored on battery")
    assert paused(home) == ""
