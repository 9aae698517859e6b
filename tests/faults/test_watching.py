"""Watching that fails: noticed, said with the cure, covered by scans; every file is found in the end."""

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

WATCHES = 6  # that the daemon may have in the test of the limit
MANY_EVENTS = 100_000  # a longer queue takes too long to fill
BY_EVENTS = {"MACLIP_FOLDERS__RESCAN_INTERVAL_S": "3000", "MACLIP_FOLDERS__POLL_INTERVAL_S": "3000"}
"""No scan comes by itself while a test lasts: what is found, events found, or a scan that they caused."""

# Loaded by the daemon's interpreter at its start. An exception thrown into a thread from outside ends it
# as any error of its own would: real thread, real death.
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


def limited(setting: str, value: int) -> list[str]:
    """The words before a command that runs it with a limit of its own; skips where that is not allowed."""
    limit = f'echo {value} > /proc/sys/user/{setting} && exec "$@"'
    below = ["unshare", "-U", "-r", "sh", "-c", limit, "sh"]
    if shutil.which("unshare") is None or subprocess.run([*below, "true"], capture_output=True).returncode:
        pytest.skip("this machine allows no user namespace, so no inotify limit of its own")
    return below


def told(home: Home) -> dict[str, Any]:
    """What the daemon says of its folder, as `maclip status --json` has it."""
    rows = home.sql("select value from notes where key = 'daemon'")
    folders = json.loads(rows[0][0])["folders"] if rows else []
    return folders[0] if folders else {"warnings": [], "events": False, "folders": None}


def wait_for(home: Home, *photos: Path) -> None:
    names = {photo.name for photo in photos}
    until(lambda: names <= home.scored().keys(), f"{sorted(names)} scored")


def check_that_it_is_said(home: Home, cure: str, *commands: str) -> None:
    until(lambda: any(cure in warning for warning in told(home)["warnings"]), f"a word about {cure}")
    for command in commands or ("status", "doctor"):
        assert cure in home.maclip(command, expect=None).stdout


def test_too_few_watches_are_said_and_scans_find_what_events_do_not(home: Home, figures: Figures) -> None:
    below = limited("max_inotify_watches", WATCHES)
    folders = [home.photos / f"{number:02d}" for number in range(12)]
    first = [make_photo(folder / f"first{folder.name}.jpg", int(folder.name)) for folder in folders]
    settings = {"MACLIP_FOLDERS__POLL_INTERVAL_S": "1", "MACLIP_FOLDERS__RESCAN_INTERVAL_S": "3000"}
    with running(home, below=below, **settings) as daemon:
        wait_for(home, *first)
        until(lambda: told(home)["folders"] == 13, "a look at the coverage")
        assert told(home)["folders_watched"] == WATCHES
        check_that_it_is_said(home, "sysctl fs.inotify.max_user_watches")
        later = [make_photo(folder / f"later{folder.name}.jpg", 50 + int(folder.name)) for folder in folders]
        deep = make_photo(home.photos / "new" / "deep" / "down.jpg", 99)
        wait_for(home, *later, deep)
        # The limit is raised: the next scan watches all, and the warning goes.
        enter = ["nsenter", "--target", str(daemon.process.pid), "--user", "--preserve-credentials"]
        subprocess.run([*enter, "sh", "-c", "echo 100 > /proc/sys/user/max_inotify_watches"], check=True)
        until(lambda: told(home)["folders_watched"] == 15, "all folders watched")
        until(lambda: told(home)["warnings"] == [], "the end of the warning")
        scans = daemon.said().count("] folder scanned ")
        heard = make_photo(home.photos / "new" / "deep" / "heard.jpg", 100)
        wait_for(home, heard)
        assert daemon.said().count("] folder scanned ") <= scans + 1, "it still polls"
        assert daemon.said().count("not every folder is watched") == 1
        daemon.stop()
    note = f"{WATCHES} watches for 13 folders"
    figures(rounds=1, files=len(first) + len(later) + 2, faults=9, note=note)


def test_no_watcher_at_all_is_said_and_scans_find_everything(home: Home, figures: Figures) -> None:
    below = limited("max_inotify_instances", 0)
    photos = make_photos(home.photos, 3)
    with running(home, below=below, MACLIP_FOLDERS__POLL_INTERVAL_S="1") as daemon:
        wait_for(home, *photos)
        check_that_it_is_said(home, "sysctl fs.inotify.max_user_instances", "status")
        assert not told(home)["events"]
        wait_for(home, make_photo(home.photos / "sub" / "later.jpg", 9))
        daemon.stop()
    figures(rounds=1, files=4, faults=1)


def test_events_that_the_kernel_lost_are_made_good_by_a_scan(
    home: Home, full: bool, figures: Figures
) -> None:
    queue = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if queue > MANY_EVENTS:
        pytest.skip(f"this machine queues {queue} events: too many to overflow in a test")
    rounds = 10 if full else 1
    known = make_photos(home.photos / "old", 3)
    noise = [home.photos / name for name in ("a.txt", "b.txt")]
    for path in noise:
        path.touch()
    with running(home, **BY_EVENTS) as daemon:
        wait_for(home, *known)
        when = "select file_name, scored_at from photo_quality where file_name like 'IMG_%' order by 1"
        scored_at = home.sql(when)
        for turn in range(rounds):
            overflows = daemon.said().count("events were lost; scanning")
            daemon.process.send_signal(signal.SIGSTOP)  # its snapshot, too
            for number in range(queue + queue // 4):
                os.close(os.open(noise[number % 2], os.O_WRONLY))  # equal events in a row would be made one
            # From here on the kernel tells nothing.
            (home.photos / f"old{turn or ''}").rename(home.photos / f"old{turn + 1}")
            lost = [make_photo(home.photos / f"lost{turn}" / f"{turn}-{n}.jpg", 100 + n) for n in range(3)]
            gone = make_photo(home.photos / f"gone{turn}.jpg", 50) if turn else None
            daemon.process.send_signal(signal.SIGCONT)
            wait_for(home, *lost, *([gone] if gone else []))
            assert daemon.said().count("events were lost; scanning") > overflows
            moved = str(home.photos / f"old{turn + 1}")
            until(
                lambda moved=moved: (
                    home.sql("select count(*) from photo_quality where folder = ?", moved) == [(3,)]
                ),
                "the renamed folder",
            )
            # And it hears again, in the new folder too.
            wait_for(home, make_photo(home.photos / f"lost{turn}" / f"heard{turn}.jpg", 200 + turn))
        check_that_it_is_said(home, "sysctl fs.inotify.max_queued_events", "status")
        assert home.sql(when) == scored_at, "a renamed photo was scored again"
        daemon.stop()
    note = f"a queue of {queue} events overflowed"
    figures(rounds=rounds, files=3 + 4 * rounds, faults=rounds, note=note)


def test_a_watcher_that_dies_is_replaced_and_what_it_did_not_hear_is_found(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds = 4 if full else 1
    (home.folder / "killer").mkdir()
    (home.folder / "killer" / "sitecustomize.py").write_text(KILLER)
    order = home.folder / "order"
    path = os.pathsep.join(filter(None, [str(home.folder / "killer"), os.environ.get("PYTHONPATH")]))
    first = make_photo(home.photos / "first.jpg", 1)
    with running(home, PYTHONPATH=path, KILL_WATCHER=str(order), **BY_EVENTS) as daemon:
        wait_for(home, first)
        for turn in range(rounds):
            order.touch()
            until(lambda: not order.exists(), "the order carried out")
            # The event that wakes the thread is the one it dies of: nobody hears of this photo.
            wait_for(home, make_photo(home.photos / f"unheard{turn}.jpg", 10 + turn))
            assert daemon.said().count("watcher died; starting another") == turn + 1
            until(lambda: told(home)["events"], "another watcher")
            wait_for(home, make_photo(home.photos / f"heard{turn}.jpg", 20 + turn))
        check_that_it_is_said(home, "the watcher of this folder died")
        daemon.stop()
    figures(rounds=rounds, files=1 + 2 * rounds, faults=rounds)
