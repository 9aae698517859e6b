"""Watching that fails is reported with its fix, and scans find every file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.homes import Home, make_photo, make_photos, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these tests are about inotify")

WATCHES = 6  # inotify watches allowed to the daemon in the test of the limit
MANY_EVENTS = 100_000  # a longer queue takes too long to fill
EVENTS_ONLY = {"MACLIP_FOLDERS__RESCAN_INTERVAL_S": "3000", "MACLIP_FOLDERS__POLL_INTERVAL_S": "3000"}
"""No periodic scan runs during a test: events, or scans that they cause, find the photos."""

# The daemon's interpreter imports this at its start. An exception raised in a thread from outside ends it
# like an error of its own.
KILLER = """
import ctypes, os, sys, threading, time

def wait_and_kill(order):
    while True:
        time.sleep(0.02)
        if os.path.exists(order):
            for thread in threading.enumerate():
                if thread.name.startswith("inotify "):
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(
                        ctypes.c_ulong(thread.ident), ctypes.py_object(MemoryError))
            os.unlink(order)

if "KILL_WATCHER" in os.environ and "maclip_daemon" in sys.orig_argv:
    threading.Thread(target=wait_and_kill, args=[os.environ["KILL_WATCHER"]], daemon=True).start()
"""


def with_inotify_limit(setting: str, value: int) -> list[str]:
    """Return the wrapper of a command that sets its own inotify limit, or skip where that is not allowed."""
    limit = f'echo {value} > /proc/sys/user/{setting} && exec "$@"'
    wrapper = ["unshare", "-U", "-r", "sh", "-c", limit, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no user namespace, so no inotify limit of its own")
    return wrapper


def folder_status(home: Home) -> dict[str, Any]:
    """Return the state of the daemon's first folder, as in `maclip status --json`."""
    rows = home.sql("select value from notes where key = 'daemon'")
    folders = json.loads(rows[0][0])["folders"] if rows else []
    return folders[0] if folders else {"warnings": [], "events": False, "folders": None}


def wait_until_scored(home: Home, *photos: Path) -> None:
    names = {photo.name for photo in photos}
    until(lambda: names <= home.scored().keys(), f"{sorted(names)} scored")


def assert_warned(home: Home, fix: str, *commands: str) -> None:
    until(lambda: any(fix in warning for warning in folder_status(home)["warnings"]), f"a warning with {fix}")
    for command in commands or ("status", "doctor"):
        assert fix in home.maclip(command, expect=None).stdout


def test_too_few_watches_are_reported_and_scans_find_what_events_miss(home: Home, figures: Figures) -> None:
    wrapper = with_inotify_limit("max_inotify_watches", WATCHES)
    folders = [home.photos / f"{number:02d}" for number in range(12)]
    first = [make_photo(folder / f"first{folder.name}.jpg", int(folder.name)) for folder in folders]
    settings = {"MACLIP_FOLDERS__POLL_INTERVAL_S": "1", "MACLIP_FOLDERS__RESCAN_INTERVAL_S": "3000"}
    with running(home, wrapper=wrapper, **settings) as daemon:
        wait_until_scored(home, *first)
        until(lambda: folder_status(home)["folders"] == 13, "the watch coverage")
        assert folder_status(home)["folders_watched"] == WATCHES
        assert_warned(home, "sysctl fs.inotify.max_user_watches")
        later = [make_photo(folder / f"later{folder.name}.jpg", 50 + int(folder.name)) for folder in folders]
        deep = make_photo(home.photos / "new" / "deep" / "down.jpg", 99)
        wait_until_scored(home, *later, deep)
        # After the limit is raised, the next scan watches everything and the warning disappears.
        enter = ["nsenter", "--target", str(daemon.process.pid), "--user", "--preserve-credentials"]
        subprocess.run([*enter, "sh", "-c", "echo 100 > /proc/sys/user/max_inotify_watches"], check=True)
        until(lambda: folder_status(home)["folders_watched"] == 15, "all folders watched")
        until(lambda: folder_status(home)["warnings"] == [], "the end of the warning")
        scans = daemon.log_text().count("] folder scanned ")
        new = make_photo(home.photos / "new" / "deep" / "heard.jpg", 100)
        wait_until_scored(home, new)
        assert daemon.log_text().count("] folder scanned ") <= scans + 1, "it still polls"
        assert daemon.log_text().count("not every folder is watched") == 1
        daemon.stop()
    note = f"{WATCHES} watches for 13 folders"
    figures(rounds=1, files=len(first) + len(later) + 2, faults=9, note=note)


@pytest.mark.long_form
def test_a_missing_watcher_is_reported_and_scans_find_everything(home: Home, figures: Figures) -> None:
    wrapper = with_inotify_limit("max_inotify_instances", 0)
    photos = make_photos(home.photos, 3)
    with running(home, wrapper=wrapper, MACLIP_FOLDERS__POLL_INTERVAL_S="1") as daemon:
        wait_until_scored(home, *photos)
        assert_warned(home, "sysctl fs.inotify.max_user_instances", "status")
        assert not folder_status(home)["events"]
        wait_until_scored(home, make_photo(home.photos / "sub" / "later.jpg", 9))
        daemon.stop()
    figures(rounds=1, files=4, faults=1)


@pytest.mark.long_form
def test_a_scan_finds_what_lost_kernel_events_missed(home: Home, figures: Figures) -> None:
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > MANY_EVENTS:
        pytest.skip(f"this machine queues {queue} events: too many to overflow in a test")
    rounds = 10
    known = make_photos(home.photos / "old", 3)
    noise = [home.photos / name for name in ("a.txt", "b.txt")]
    for path in noise:
        path.touch()
    with running(home, **EVENTS_ONLY) as daemon:
        wait_until_scored(home, *known)
        when = "select file_name, scored_at from photo_quality where file_name like 'IMG_%' order by 1"
        scored_at = home.sql(when)
        for turn in range(rounds):
            overflows = daemon.log_text().count("events were lost; scanning")
            daemon.process.send_signal(signal.SIGSTOP)  # this stops the watcher's snapshot too
            for number in range(queue + queue // 4):
                os.close(os.open(noise[number % 2], os.O_WRONLY))  # the kernel merges equal events in a row
            # From here on the kernel drops events.
            (home.photos / f"old{turn or ''}").rename(home.photos / f"old{turn + 1}")
            lost = [make_photo(home.photos / f"lost{turn}" / f"{turn}-{n}.jpg", 100 + n) for n in range(3)]
            gone = make_photo(home.photos / f"gone{turn}.jpg", 50) if turn else None
            daemon.process.send_signal(signal.SIGCONT)
            wait_until_scored(home, *lost, *([gone] if gone else []))
            assert daemon.log_text().count("events were lost; scanning") > overflows
            moved = str(home.photos / f"old{turn + 1}")
            until(
                lambda moved=moved: (
                    home.sql("select count(*) from photo_quality where folder = ?", moved) == [(3,)]
                ),
                "the renamed folder",
            )
            # Events work again, in the new folder too.
            wait_until_scored(home, make_photo(home.photos / f"lost{turn}" / f"heard{turn}.jpg", 200 + turn))
        assert_warned(home, "sysctl fs.inotify.max_queued_events", "status")
        assert home.sql(when) == scored_at, "a renamed photo was scored again"
        daemon.stop()
    note = f"a queue of {queue} events overflowed"
    figures(rounds=rounds, files=3 + 4 * rounds, faults=rounds, note=note)


def test_a_watcher_that_dies_is_replaced_and_the_photos_it_missed_are_found(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds = 4 if full else 1
    (home.folder / "killer").mkdir()
    (home.folder / "killer" / "sitecustomize.py").write_text(KILLER)
    order = home.folder / "order"
    path = os.pathsep.join(filter(None, [str(home.folder / "killer"), os.environ.get("PYTHONPATH")]))
    first = make_photo(home.photos / "first.jpg", 1)
    with running(home, PYTHONPATH=path, KILL_WATCHER=str(order), **EVENTS_ONLY) as daemon:
        wait_until_scored(home, first)
        for turn in range(rounds):
            order.touch()
            until(lambda: not order.exists(), "the watcher thread to be killed")
            # The thread dies when this event wakes it, so the event of this photo is lost.
            wait_until_scored(home, make_photo(home.photos / f"unheard{turn}.jpg", 10 + turn))
            assert daemon.log_text().count("watcher died; starting another") == turn + 1
            until(lambda: folder_status(home)["events"], "another watcher")
            wait_until_scored(home, make_photo(home.photos / f"heard{turn}.jpg", 20 + turn))
        assert_warned(home, "the watcher of this folder died")
        daemon.stop()
    figures(rounds=rounds, files=1 + 2 * rounds, faults=rounds)
