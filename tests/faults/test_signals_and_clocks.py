"""Signals at any moment, second instances, clock jumps and machines that sleep: as documented, and nothing is
done twice."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import sqlite3
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
PHOTOS_A_JUMP = 24  # a dozen batches, so that the clock can jump between them
# Fixed edges: stars depend on no other photo, so every photo is rated exactly once.
SETTINGS = {
    "MACLIP_RATING__EDGES": "[0.2, 0.4, 0.6, 0.8]",
    "MACLIP_SCORING__PROTOCOL": "spaq448",
    "MACLIP_SCORING__BATCH_PHOTOS": "2",  # many small batches, so that some are always under way
}


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Restore SIGINT, which background jobs of a shell ignore and their children inherit."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def faulty_home(home: Home, device: Device) -> Home:
    home.environment |= SETTINGS | device.environment
    return home


def scored_at(home: Home) -> dict[str, Any]:
    return dict(home.sql("select file_name, scored_at from photo_quality where state = 'scored'"))


def has_leased_jobs(home: Home) -> bool:
    return bool(home.sql("select 1 from jobs where state = 'leased'"))


def photos_encoded(device: Device) -> float:
    """Return the number of photos encoded, without the two views of each process's probe."""
    batches = device.batches()
    return (sum(views for _, views in batches) - 2 * len({pid for pid, _ in batches})) / VIEWS


def assert_each_done_once(home: Home, originals: dict[Path, bytes], *, allow_abandoned: bool = False) -> None:
    """Check that each photo was scored and rated once.

    `allow_abandoned` accepts journal entries of ratings that were interrupted before they changed a file.
    """
    until(lambda: len(home.scored()) == len(originals), "all scores")
    until(lambda: len(list(home.photos.rglob("*.xmp"))) == len(originals), "all sidecars")
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    assert home.sql("select count(*) from scores") == [(len(originals),)]
    rated = home.sql("select state, count(*), count(distinct photo_id) from rating_journal group by state")
    if allow_abandoned:
        rated = [entry for entry in rated if entry[0] != "abandoned"]
    assert rated == [("written", len(originals), len(originals))]
    assert {path: data for path, data in contents(home.photos).items() if path in originals} == originals
    assert not list(home.photos.rglob(".maclip-*"))
    assert home.sql("pragma integrity_check") == [("ok",)]


def process_tree(daemon: LoggedDaemon) -> list[psutil.Process]:
    """Return the daemon and its children."""
    parent = psutil.Process(daemon.process.pid)
    return [parent, *parent.children(recursive=True)]


def test_a_signal_at_any_moment_ends_the_daemon_cleanly(
    faulty_home: Home, full: bool, figures: Figures
) -> None:
    rounds = 24 if full else 3
    chance = random.Random(3)
    originals: dict[Path, bytes] = {}
    done: dict[str, Any] = {}
    for number in range(rounds):
        make_photos(faulty_home.photos, 4, first=number * 4)
        originals = {
            path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
        }
        with running(faulty_home) as daemon:
            match number % 3:
                case 0:  # at any moment of the start
                    time.sleep(chance.uniform(0, 1.5))
                case 1:  # during work
                    until(lambda: has_leased_jobs(faulty_home), "a leased job")
                case 2:  # at rest
                    names = {path.name for path in originals}
                    until(lambda names=names: scored_at(faulty_home).keys() == names, "rest")
            children = process_tree(daemon)[1:] if daemon.process.poll() is None else []
            was_working = "watching" in daemon.log_text().rpartition("stopped")[2]
            sent = chance.choice([signal.SIGTERM, signal.SIGINT])
            for _ in range(chance.choice([1, 2])):  # twice, as after a second Ctrl-C
                daemon.process.send_signal(sent)
                time.sleep(chance.uniform(0, 0.1))
            daemon.process.wait(60)
        ended = daemon.process.returncode
        at_once = (-signal.SIGTERM, -signal.SIGINT, 130)  # no work had begun
        assert ended == 0 or (not was_working and ended in at_once), daemon.log_text()[-3000:]
        assert not psutil.wait_procs(children, timeout=60)[1], "children outlived their parent"
        assert not has_leased_jobs(faulty_home)
        now = scored_at(faulty_home)
        assert done.items() <= now.items(), "a photo was scored again"
        done = now
    faulty_home.maclip("run", "--once", faulty_home.photos)
    assert done.items() <= scored_at(faulty_home).items()
    assert_each_done_once(faulty_home, originals, allow_abandoned=True)
    figures(rounds=rounds, files=len(originals), faults=rounds, note="signals that end the daemon")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signals_without_end_end_the_daemon_as_one_does(
    home: Home, figures: Figures, sent: signal.Signals
) -> None:
    photos = make_photos(home.photos, 2)
    with running(home) as daemon:
        until(lambda: len(home.scored()) == 2, "the photos")
        count = 0
        while daemon.process.poll() is None:
            daemon.process.send_signal(sent)
            time.sleep(0.001)
            count += 1
    assert daemon.process.returncode == 0, daemon.log_text()[-2000:]
    assert "Traceback" not in daemon.log_text()
    figures(rounds=1, files=len(photos), faults=count, note="a signal every millisecond")


def test_valid_and_invalid_configurations_are_reloaded_at_any_moment(
    faulty_home: Home, device: Device, full: bool, figures: Figures
) -> None:
    rounds = 6 if full else 2
    configuration = faulty_home.folder / ".config" / "maclip" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[log]\nlevel = 'debug'\n")
    make_photos(faulty_home.photos, 12)
    faults = 0
    with running(faulty_home) as daemon:
        until(lambda: (faulty_home.data / "daemon.lock").exists(), "the lock file")
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: daemon.log_text().count("configuration reloaded") >= 1, "the configuration")
        done: dict[str, Any] = {}
        for number in range(rounds):
            with device.blocked_after(0):
                make_photos(faulty_home.photos, 6, first=12 + number * 6)
                until(lambda: has_leased_jobs(faulty_home), "a leased job")
            refused, read = (
                daemon.log_text().count(f"configuration {outcome}") for outcome in ("rejected", "reloaded")
            )
            configuration.write_text("[log]\nlevel = 'debug'\n[scorring]\nbatch_photos = 4\n")
            daemon.process.send_signal(signal.SIGHUP)
            until(
                lambda refused=refused: daemon.log_text().count("configuration rejected") > refused,
                "a refusal",
            )
            assert "scorring" in daemon.log_text()
            configuration.write_text(f"[log]\nlevel = 'debug'\n[scoring]\nbatch_photos = {2 + number % 4}\n")
            for _ in range(3):  # in a row
                daemon.process.send_signal(signal.SIGHUP)
            until(
                lambda read=read: daemon.log_text().count("configuration reloaded") > read,
                "the new configuration",
            )
            faults += 4
            names = {path.name for path in faulty_home.photos.glob("*.jpg")}
            until(lambda names=names: scored_at(faulty_home).keys() == names, "work after the reload")
            now = scored_at(faulty_home)
            assert done.items() <= now.items(), "a photo was scored again"
            done = now
        assert daemon.process.poll() is None
        originals = {
            path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
        }
        assert_each_done_once(faulty_home, originals)
    figures(rounds=rounds, files=len(originals), faults=faults, note="reloads, a quarter of them refused")


@pytest.mark.long_form
def test_of_many_instances_only_one_works(faulty_home: Home, device: Device, figures: Figures) -> None:
    rounds, several = (2, 5)
    originals: dict[Path, bytes] = {}
    for number in range(rounds):
        make_photos(faulty_home.photos, 6, first=number * 6)
        originals = {
            path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
        }
        with contextlib.ExitStack() as stack:
            daemons = [stack.enter_context(running(faulty_home)) for _ in range(several)]
            until(
                lambda daemons=daemons: sum(one.process.poll() is None for one in daemons) == 1,
                "all but one to end",
            )
            assert {one.process.returncode for one in daemons} == {None, 3}
            names = {path.name for path in originals}
            until(
                lambda names=names: scored_at(faulty_home).keys() == names,
                "the scores of one instance",
            )
            assert (
                "Another maclip process uses"
                in faulty_home.maclip("run", "--once", faulty_home.photos, expect=3).stderr
            )
            assert_each_done_once(faulty_home, originals)
            for one in daemons:
                if one.process.poll() is None:
                    one.stop()
    assert photos_encoded(device) == len(originals)
    figures(rounds=rounds, files=len(originals), faults=rounds * several, note="instances beside the first")


def test_a_clock_jump_delays_no_work_and_repeats_none(
    faulty_home: Home, device: Device, full: bool, figures: Figures
) -> None:
    clock = SetClock(faulty_home.folder)
    jumps = [-24 * HOUR, 24 * HOUR]
    if full:
        jumps += [-1, 5, -8 * HOUR, 365 * 24 * HOUR, -20 * 365 * 24 * HOUR, 20 * 365 * 24 * HOUR] * 2
    with running(faulty_home, **clock.environment) as daemon:
        until(lambda: faulty_home.sql("select 1 from roots where scanned_at is not null"), "a scan")
        for number, jump in enumerate(jumps):
            count = PHOTOS_A_JUMP * (number + 1)
            with device.blocked_after(PHOTOS_A_JUMP // 4):
                make_photos(faulty_home.photos, PHOTOS_A_JUMP, first=number * PHOTOS_A_JUMP)
                until(
                    lambda count=count: (
                        count - PHOTOS_A_JUMP < len(faulty_home.scored()) < count
                        and has_leased_jobs(faulty_home)
                    ),
                    "some of the scores",
                )
                noticed = daemon.log_text().count("the clock was set")
                clock.jump(jump)
            until(lambda count=count: len(faulty_home.scored()) == count, "the other scores")
            if abs(jump) > 2:  # small steps, as of NTP, are not logged
                until(
                    lambda noticed=noticed: daemon.log_text().count("the clock was set") > noticed,
                    "the log entry of the jump",
                )
        originals = {
            path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
        }
        assert_each_done_once(faulty_home, originals)
    assert photos_encoded(device) == len(originals)
    figures(rounds=len(jumps), files=len(originals), faults=len(jumps), note="clock jumps")


def test_a_clock_set_back_while_another_program_locks_the_library_delays_no_work(
    faulty_home: Home, device: Device, figures: Figures
) -> None:
    clock = SetClock(faulty_home.folder)
    with running(faulty_home, **clock.environment) as daemon:
        until(lambda: faulty_home.sql("select 1 from roots where scanned_at is not null"), "a scan")
        with device.blocked_after(PHOTOS_A_JUMP // 4):
            make_photos(faulty_home.photos, PHOTOS_A_JUMP)
            until(lambda: faulty_home.scored() and has_leased_jobs(faulty_home), "some of the scores")
            library = sqlite3.connect(faulty_home.data / "library.db", isolation_level=None)
            with contextlib.closing(library) as other:
                other.execute("begin immediate")
                make_photos(faulty_home.photos, PHOTOS_A_JUMP, first=PHOTOS_A_JUMP)  # known once it is free
                clock.jump(-24 * HOUR)
                until(lambda: "the clock was set" in daemon.log_text(), "the log entry of the jump")
        originals = {
            path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
        }
        assert_each_done_once(faulty_home, originals)
    figures(rounds=1, files=len(originals), faults=1, note="a clock jump while the library was locked")


@pytest.mark.long_form
def test_a_machine_that_sleeps_for_hours_resumes_its_work(
    faulty_home: Home, device: Device, figures: Figures
) -> None:
    clock = SetClock(faulty_home.folder)
    rounds = 6
    with running(faulty_home, **clock.environment) as daemon:
        until(lambda: faulty_home.sql("select 1 from roots where scanned_at is not null"), "a scan")
        for number in range(rounds):
            count = 10 * (number + 1)
            with device.blocked_after(1):
                make_photos(faulty_home.photos, 10, first=number * 10)
                until(lambda: has_leased_jobs(faulty_home), "a leased job")
                asleep: list[psutil.Process] = []
                while new := [process for process in process_tree(daemon) if process not in asleep]:
                    for process in new:
                        process.suspend()
                    asleep += new
                assert has_leased_jobs(faulty_home)
                clock.jump(8 * HOUR)  # longer than any lease
                for process in asleep:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.resume()
            until(lambda count=count: len(faulty_home.scored()) == count, "all scores")
        originals = {
            path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
        }
        assert_each_done_once(faulty_home, originals)
        slept_s = functools.partial(daemon.sum_in_log, "the clock was set, or the machine slept", "by_s")
        # Two sleeps may share one log entry.
        until(lambda: round(slept_s() / HOUR) == rounds * 8, "the log entries")
    assert photos_encoded(device) == len(originals)
    figures(rounds=rounds, files=len(originals), faults=rounds, note="sleeps of eight hours")


def test_a_child_that_hangs_is_replaced_and_delays_no_stop(
    faulty_home: Home, device: Device, full: bool, figures: Figures
) -> None:
    rounds = 2 if full else 1
    faults = 0
    for number in range(rounds):
        done = len(faulty_home.scored())
        make_photos(faulty_home.photos, 16, first=number * 24)
        names = {path.name for path in faulty_home.photos.glob("*.jpg")}
        with running(faulty_home, MACLIP_DECODING__TIMEOUT_S="3", MACLIP_JOBS__MAX_ATTEMPTS="100") as daemon:
            with device.blocked_after(2):
                until(
                    lambda done=done: len(faulty_home.scored()) > done and has_leased_jobs(faulty_home),
                    "a leased job",
                )
                decoders = [
                    child for child in process_tree(daemon)[1:] if "decoder" in " ".join(child.cmdline())
                ]
                decoders[0].suspend()
            until(lambda names=names: scored_at(faulty_home).keys() == names, "scores without that decoder")
            for child in process_tree(daemon)[1:]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    if "decoder" not in " ".join(child.cmdline()):
                        child.suspend()
            make_photos(faulty_home.photos, 8, first=number * 24 + 16)
            originals = {
                path: data for path, data in contents(faulty_home.photos).items() if path.suffix == ".jpg"
            }
            until(lambda: any((faulty_home.data / "spool").iterdir()), "pixels for the suspended scorer")
            time.sleep(1)  # until the request was sent
            everyone = process_tree(daemon)
            for child in everyone[1:]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.suspend()
            faults += len(everyone)
            daemon.process.terminate()
            daemon.process.wait(60)
            assert daemon.process.returncode == 0
            assert not psutil.wait_procs(everyone, timeout=60)[1], "a stopped child outlived its parent"
    faulty_home.maclip("run", "--once", faulty_home.photos)
    assert_each_done_once(faulty_home, originals, allow_abandoned=True)
    figures(rounds=rounds, files=len(originals), faults=faults, note="suspended children")
