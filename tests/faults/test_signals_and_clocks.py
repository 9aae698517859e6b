"""Signals at any moment, second instances, clocks that jump and machines that sleep: as documented, and
nothing is done twice."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults.conftest import Figures
from tests.faults.logged_daemon import LoggedDaemon, running
from tests.faults.misbehaving_device import Device
from tests.faults.set_clock import SetClock
from tests.homes import Home, contents, make_photos, until

VIEWS = 5  # of a photo under the protocol spaq448
HOUR = 3600
AT_ONCE = 24  # photos; a dozen batches, so that there is time to do something in the midst of them
# Stars that depend on no other photo: every photo is then to be rated exactly once.
SETTINGS = {
    "MACLIP_RATING__EDGES": "[0.2, 0.4, 0.6, 0.8]",
    "MACLIP_SCORING__PROTOCOL": "spaq448",
    "MACLIP_SCORING__BATCH_PHOTOS": "2",  # many small batches: there is always a moment with some in hand
}


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A shell lets its background jobs ignore SIGINT, and they pass that on; a user's daemon hears it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def there(home: Home, device: Device) -> Home:
    home.environment |= SETTINGS | device.environment
    return home


def scored_at(home: Home) -> dict[str, Any]:
    return dict(home.sql("select file_name, scored_at from photo_quality where state = 'scored'"))


def in_hand(home: Home) -> bool:
    return bool(home.sql("select 1 from jobs where state = 'leased'"))


def photos_encoded(device: Device) -> float:
    """How many photos the device has judged; a new process first looks at a square of two views."""
    batches = device.batches()
    return (sum(views for _, views in batches) - 2 * len({pid for pid, _ in batches})) / VIEWS


def assert_all_was_done_once(home: Home, originals: dict[Path, bytes], *, began_twice: bool = False) -> None:
    """`began_twice`: a rating may have been cut off before it touched a file; the journal says so."""
    until(lambda: len(home.scored()) == len(originals), "all scores")
    until(lambda: len(list(home.photos.rglob("*.xmp"))) == len(originals), "all sidecars")
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    assert home.sql("select count(*) from scores") == [(len(originals),)]
    rated = home.sql("select state, count(*), count(distinct photo_id) from rating_journal group by state")
    if began_twice:
        rated = [entry for entry in rated if entry[0] != "abandoned"]
    assert rated == [("written", len(originals), len(originals))]
    assert {path: data for path, data in contents(home.photos).items() if path in originals} == originals
    assert not list(home.photos.rglob(".maclip-*"))
    assert home.sql("pragma integrity_check") == [("ok",)]


def family(daemon: LoggedDaemon) -> list[psutil.Process]:
    """The daemon and its children."""
    parent = psutil.Process(daemon.process.pid)
    return [parent, *parent.children(recursive=True)]


def test_a_signal_at_any_moment_ends_it_in_order(there: Home, full: bool, figures: Figures) -> None:
    rounds = 24 if full else 6
    chance = random.Random(3)
    originals: dict[Path, bytes] = {}
    done: dict[str, Any] = {}
    for number in range(rounds):
        make_photos(there.photos, 4, first=number * 4)
        originals = {path: data for path, data in contents(there.photos).items() if path.suffix == ".jpg"}
        with running(there) as daemon:
            match number % 3:
                case 0:  # during the start, whatever it is at
                    time.sleep(chance.uniform(0, 1.5))
                case 1:  # during work
                    until(lambda: in_hand(there), "work in hand")
                case 2:  # at rest
                    names = {path.name for path in originals}
                    until(lambda names=names: scored_at(there).keys() == names, "rest")
            children = family(daemon)[1:] if daemon.process.poll() is None else []
            was_working = "watching" in daemon.said().rpartition("stopped")[2]
            sent = chance.choice([signal.SIGTERM, signal.SIGINT])
            for _ in range(chance.choice([1, 2])):  # twice: who is in a hurry presses Ctrl-C again
                daemon.process.send_signal(sent)
                time.sleep(chance.uniform(0, 0.1))
            daemon.process.wait(60)
        ended = daemon.process.returncode
        at_once = (-signal.SIGTERM, -signal.SIGINT, 130)  # nothing was in hand yet
        assert ended == 0 or (not was_working and ended in at_once), daemon.said()[-3000:]
        assert not psutil.wait_procs(children, timeout=60)[1], "children outlived their parent"
        assert not in_hand(there)
        now = scored_at(there)
        assert done.items() <= now.items(), "a photo was scored again"
        done = now
    there.maclip("run", "--once", there.photos)
    assert done.items() <= scored_at(there).items()
    assert_all_was_done_once(there, originals, began_twice=True)
    figures(rounds=rounds, files=len(originals), faults=rounds, note="signals that end it")


def test_configurations_good_and_wrong_are_read_again_at_any_moment(
    there: Home, device: Device, full: bool, figures: Figures
) -> None:
    rounds = 6 if full else 2
    configuration = there.folder / ".config" / "maclip" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[log]\nlevel = 'debug'\n")
    make_photos(there.photos, 12)
    faults = 0
    with running(there) as daemon:
        until(lambda: (there.data / "daemon.lock").exists(), "the beginning of its start")
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: daemon.said().count("configuration reloaded") >= 1, "the configuration")
        done: dict[str, Any] = {}
        for number in range(rounds):
            with device.held_after(0):
                make_photos(there.photos, 6, first=12 + number * 6)
                until(lambda: in_hand(there), "work in hand")
            refused, read = (
                daemon.said().count(f"configuration {outcome}") for outcome in ("rejected", "reloaded")
            )
            configuration.write_text("[log]\nlevel = 'debug'\n[scorring]\nbatch_photos = 4\n")
            daemon.process.send_signal(signal.SIGHUP)
            until(
                lambda refused=refused: daemon.said().count("configuration rejected") > refused,
                "a refusal",
            )
            assert "scorring" in daemon.said()
            configuration.write_text(f"[log]\nlevel = 'debug'\n[scoring]\nbatch_photos = {2 + number % 4}\n")
            for _ in range(3):  # in a row
                daemon.process.send_signal(signal.SIGHUP)
            until(
                lambda read=read: daemon.said().count("configuration reloaded") > read,
                "the new configuration",
            )
            faults += 4
            names = {path.name for path in there.photos.glob("*.jpg")}
            until(lambda names=names: scored_at(there).keys() == names, "work after the reload")
            now = scored_at(there)
            assert done.items() <= now.items(), "a photo was scored again"
            done = now
        assert daemon.process.poll() is None
        originals = {path: data for path, data in contents(there.photos).items() if path.suffix == ".jpg"}
        assert_all_was_done_once(there, originals)
    figures(rounds=rounds, files=len(originals), faults=faults, note="reloads, a quarter of them refused")


def test_of_many_instances_only_one_works(there: Home, device: Device, full: bool, figures: Figures) -> None:
    rounds, several = (2, 5) if full else (1, 3)
    originals: dict[Path, bytes] = {}
    for number in range(rounds):
        make_photos(there.photos, 6, first=number * 6)
        originals = {path: data for path, data in contents(there.photos).items() if path.suffix == ".jpg"}
        with contextlib.ExitStack() as stack:
            daemons = [stack.enter_context(running(there)) for _ in range(several)]
            until(
                lambda daemons=daemons: sum(one.process.poll() is None for one in daemons) == 1,
                "all but one to end",
            )
            assert {one.process.returncode for one in daemons} == {None, 3}
            names = {path.name for path in originals}
            until(lambda names=names: scored_at(there).keys() == names, "the work of the one")
            assert (
                "Another maclip process uses" in there.maclip("run", "--once", there.photos, expect=3).stderr
            )
            assert_all_was_done_once(there, originals)
            for one in daemons:
                if one.process.poll() is None:
                    one.stop()
    assert photos_encoded(device) == len(originals)
    figures(rounds=rounds, files=len(originals), faults=rounds * several, note="instances beside the first")


def test_a_clock_that_jumps_holds_up_no_work_and_repeats_none(
    there: Home, device: Device, full: bool, figures: Figures
) -> None:
    clock = SetClock(there.folder)
    jumps = [-24 * HOUR, 24 * HOUR]
    if full:
        jumps += [-1, 5, -8 * HOUR, 365 * 24 * HOUR, -20 * 365 * 24 * HOUR, 20 * 365 * 24 * HOUR] * 2
    with running(there, **clock.environment) as daemon:
        until(lambda: there.sql("select 1 from roots where scanned_at is not null"), "a scan")
        for number, jump in enumerate(jumps):
            count = AT_ONCE * (number + 1)
            with device.held_after(AT_ONCE // 4):
                make_photos(there.photos, AT_ONCE, first=number * AT_ONCE)
                until(
                    lambda count=count: count - AT_ONCE < len(there.scored()) < count and in_hand(there),
                    "some of the scores",
                )
                noticed = daemon.said().count("the clock was set")
                clock.jump(jump)
            until(lambda count=count: len(there.scored()) == count, "the other scores")
            if abs(jump) > 2:  # what NTP does, too, is not worth a word
                until(
                    lambda noticed=noticed: daemon.said().count("the clock was set") > noticed,
                    "word of the jump",
                )
        originals = {path: data for path, data in contents(there.photos).items() if path.suffix == ".jpg"}
        assert_all_was_done_once(there, originals)
    assert photos_encoded(device) == len(originals)
    figures(rounds=len(jumps), files=len(originals), faults=len(jumps), note="clock jumps")


def test_a_machine_that_sleeps_for_hours_goes_on_where_it_was(
    there: Home, device: Device, full: bool, figures: Figures
) -> None:
    clock = SetClock(there.folder)
    rounds = 6 if full else 2
    with running(there, **clock.environment) as daemon:
        until(lambda: there.sql("select 1 from roots where scanned_at is not null"), "a scan")
        for number in range(rounds):
            count = 10 * (number + 1)
            with device.held_after(1):
                make_photos(there.photos, 10, first=number * 10)
                until(lambda: in_hand(there), "work in hand")
                asleep: list[psutil.Process] = []
                while new := [process for process in family(daemon) if process not in asleep]:
                    for process in new:
                        process.suspend()
                    asleep += new
                assert in_hand(there)
                clock.jump(8 * HOUR)  # far beyond every lease
                for process in asleep:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.resume()
            until(lambda count=count: len(there.scored()) == count, "all scores")
        originals = {path: data for path, data in contents(there.photos).items() if path.suffix == ".jpg"}
        assert_all_was_done_once(there, originals)
        slept_s = functools.partial(daemon.counted, "the clock was set, or the machine slept", "by_s")
        until(lambda: round(slept_s() / HOUR) == rounds * 8, "word of every sleep")  # of two at once, perhaps
    assert photos_encoded(device) == len(originals)
    figures(rounds=rounds, files=len(originals), faults=rounds, note="sleeps of eight hours")


def test_a_child_that_stands_still_is_replaced_and_holds_up_no_stop(
    there: Home, device: Device, full: bool, figures: Figures
) -> None:
    rounds = 2 if full else 1
    faults = 0
    for number in range(rounds):
        done = len(there.scored())
        make_photos(there.photos, 16, first=number * 24)
        names = {path.name for path in there.photos.glob("*.jpg")}
        with running(there, MACLIP_DECODING__TIMEOUT_S="3", MACLIP_JOBS__MAX_ATTEMPTS="100") as daemon:
            with device.held_after(2):
                until(lambda done=done: len(there.scored()) > done and in_hand(there), "work in hand")
                decoders = [child for child in family(daemon)[1:] if "decoder" in " ".join(child.cmdline())]
                decoders[0].suspend()
            until(lambda names=names: scored_at(there).keys() == names, "work without it")
            for child in family(daemon)[1:]:
                if "decoder" not in " ".join(child.cmdline()):
                    child.suspend()
            make_photos(there.photos, 8, first=number * 24 + 16)
            originals = {path: data for path, data in contents(there.photos).items() if path.suffix == ".jpg"}
            until(lambda: any((there.data / "spool").iterdir()), "pixels for a scorer that stands still")
            time.sleep(1)  # it was asked
            everyone = family(daemon)
            for child in everyone[1:]:
                child.suspend()
            faults += len(everyone)
            daemon.process.terminate()
            daemon.process.wait(60)
            assert daemon.process.returncode == 0
            assert not psutil.wait_procs(everyone, timeout=60)[1], "a stopped child outlived its parent"
    there.maclip("run", "--once", there.photos)
    assert_all_was_done_once(there, originals, began_twice=True)
    figures(rounds=rounds, files=len(originals), faults=faults, note="children that stood still")
