"""Roots that go away, turn read-only, cannot be read, or are a network share: paused and resumed."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.faults import mounts
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import LoggedDaemon, running
from tests.homes import Home, contents, make_photo, make_photos, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these tests mount disks")

MOST_OF_A_CORE = 0.2  # that the daemon may use while a root is away; it uses a hundredth
SOON = {
    "MACLIP_FOLDERS__RESCAN_INTERVAL_S": "2",
    "MACLIP_FOLDERS__POLL_INTERVAL_S": "2",
    "MACLIP_JOBS__PAUSE_S": "1",
}
WAITING = "select count(*), max(attempts) from jobs where kind = 'rate'"
ROWS = (
    "select photos.id, file_name, score, scored_at, pixel_hash, photos.stars_written"
    " from photo_quality join photos using (file_name) where score is not null order by file_name"
)


def sidecars(folder: Path) -> set[str]:
    return {path.name.removesuffix(".xmp") for path in folder.rglob("*.xmp")}


def originals(folder: Path) -> dict[Path, bytes]:
    return {path: data for path, data in contents(folder).items() if path.suffix == ".jpg"}


def wait_until_settled(home: Home, *photos: Path) -> None:
    """Wait until these photos, and no others, are there, scored and rated, and nothing is left to do."""
    names = {photo.name for photo in photos}
    until(lambda: home.scored().keys() == names, f"{len(names)} photos scored")
    until(lambda: home.sql("select count(*) from photos where stars_written is null") == [(0,)], "stars")
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photo_failures") == [(0,)]


def wait_until_paused(home: Home) -> None:
    until(lambda: home.sql("select 1 from roots where state = 'paused'"), "the pause")
    until(lambda: home.sql("select distinct state from photos") == [("missing",)], "the photos to be missing")


def wait_for_the_pause(home: Home, reason: str) -> None:
    """Wait until the root is paused for this reason, and its photos are missing."""
    wait_until_paused(home)
    assert reason in home.sql("select reason from roots where state = 'paused'")[0][0]
    assert reason in home.maclip("status").stdout


def check_that_it_idles(daemon: LoggedDaemon, full: bool) -> None:
    """The daemon and its children use next to no processor time."""
    seconds = 20 if full else 3
    before = _processor_s(daemon.process.pid)
    began = time.monotonic()
    time.sleep(seconds)
    used = _processor_s(daemon.process.pid) - before
    assert used < MOST_OF_A_CORE * (time.monotonic() - began), f"{used:.1f} s of processor in {seconds} s"


def _processor_s(pid: int) -> float:
    parent = psutil.Process(pid)
    total = 0.0
    for process in [parent, *parent.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def check_that_no_attempt_was_used_up(home: Home) -> None:
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    assert home.sql("select count(*) from jobs where attempts > 0") == [(0,)]


def told(home: Home) -> dict[str, Any]:
    """What the daemon says of its first folder."""
    rows = home.sql("select value from notes where key = 'daemon'")
    folder: dict[str, Any] = json.loads(rows[0][0])["folders"][0] if rows else {}
    return folder


@pytest.mark.parametrize("left_over", [False, True], ids=["empty", "with another photo below it"])
def test_an_unmounted_root_pauses_and_comes_back_whole(
    home: Home, full: bool, figures: Figures, left_over: bool
) -> None:
    rounds = 5 if full else 1
    if left_over:  # somebody saved a photo when the disk was not mounted
        make_photo(home.photos / "stray.jpg", 99)
    store = home.folder / "disk"
    with mounts.pluggable(store, home.photos):
        photos = make_photos(home.photos / "2026", 6)
        with running(home, **SOON) as daemon:
            wait_until_settled(home, *photos)
            before = originals(home.photos)
            for turn in range(rounds):
                rows, journal = home.sql(ROWS), home.sql("select * from rating_journal order by id")
                mounts.unmount(home.photos)
                wait_for_the_pause(home, "another disk" if left_over else "is empty")
                if turn == 0 and (full or not left_over):
                    check_that_it_idles(daemon, full)
                assert home.sql(ROWS) == rows
                assert sidecars(home.photos) == set(), "something was written below the mount point"
                mounts.plug(store, home.photos)
                wait_until_settled(home, *photos)
                assert home.sql(ROWS) == rows
                assert home.sql("select * from rating_journal order by id") == journal
            photos.append(make_photo(home.photos / "2026" / "new.jpg", 50))
            wait_until_settled(home, *photos)
            rows = home.sql(ROWS)
            if full or not left_over:
                # Gone again, and the machine is started anew without it: it is still waited for.
                mounts.unmount(home.photos)
                wait_until_paused(home)
            daemon.stop()
        if full or not left_over:
            with running(home, **SOON) as daemon:
                until(lambda: daemon.said().count("folder paused") == rounds + 2, "the pause after a start")
                assert home.sql("select state from roots") == [("paused",)]
                assert home.sql(ROWS) == rows
                mounts.plug(store, home.photos)
                wait_until_settled(home, *photos)
                daemon.stop()
        assert home.sql(ROWS) == rows
        assert {path: originals(home.photos)[path] for path in before} == before
        assert sidecars(home.photos) == {photo.name for photo in photos}
    figures(rounds=rounds, files=7, faults=rounds)


def test_a_root_lost_in_the_middle_of_a_scan_loses_nothing(home: Home, full: bool, figures: Figures) -> None:
    rounds = 40 if full else 4
    chance = random.Random(7)
    store = home.folder / "disk"
    with mounts.pluggable(store, home.photos):
        photos = [make_photo(home.photos / f"{number:03d}" / f"{number}.jpg", number) for number in range(12)]
        for number in range(800):  # a long way
            (home.photos / f"{number:03d}").mkdir(exist_ok=True)
        # It scans all the time, so that it is nearly always in the middle of one.
        always = {**SOON, "MACLIP_FOLDERS__RESCAN_INTERVAL_S": "0.01"}
        with running(home, **always) as daemon:
            wait_until_settled(home, *photos)
            rows = home.sql(ROWS)
            for _ in range(rounds):
                time.sleep(chance.uniform(0, 0.2))
                mounts.unmount(home.photos)
                wait_until_paused(home)
                assert home.sql(ROWS) == rows
                mounts.plug(store, home.photos)
                wait_until_settled(home, *photos)
            said = daemon.stop()
        assert home.sql(ROWS) == rows
        scans = [line for line in said.splitlines() if "] folder scanned " in line]
        assert scans
        assert not [line for line in scans if "missing=0" not in line], (
            "a scan took a lost disk for deletions"
        )
        assert "unexpected error" not in said
    figures(rounds=rounds, files=len(photos), faults=rounds, note=f"{len(scans)} scans meanwhile")


def test_a_read_only_root_is_scored_and_its_ratings_wait(home: Home, full: bool, figures: Figures) -> None:
    rounds = 5 if full else 1
    card = home.folder / "card"
    with mounts.memory_disk(card):
        locked = make_photos(card, 6)
        free = make_photos(home.photos, 6, first=10)
        before = originals(card) | originals(home.photos)
        mounts.mount("-o", "remount,ro", card)
        with running(home, card, home.photos, **SOON) as daemon:
            # Scores go on, and so do the ratings of the other root.
            until(lambda: len(home.scored()) == 12, "all scored")
            until(lambda: len(sidecars(home.photos)) == 6, "the ratings of the other root")
            until(lambda: "read-only" in home.maclip("status").stdout, "a word about it")
            until(lambda: home.sql(WAITING) == [(6, 0)], "only those of the card to wait, without attempts")
            check_that_it_idles(daemon, full)
            mounts.mount("-o", "remount,rw", card)
            wait_until_settled(home, *locked, *free)
            assert sidecars(card) == {photo.name for photo in locked}
            daemon.stop()
        for turn in range(rounds):
            # Again, when sidecars are there and every photo gets other stars.
            mounts.mount("-o", "remount,ro", card)
            stars = 1 + 4 * ((turn + 1) % 2)
            shares = json.dumps([100 if number == stars else 0 for number in range(1, 6)])
            with running(home, card, home.photos, MACLIP_RATING__SHARES=shares, **SOON) as daemon:
                until(lambda: "read-only" in home.maclip("status").stdout, "a word about it")
                until(lambda: home.sql(WAITING) == [(6, 0)], "only those of the card to wait")
                mounts.mount("-o", "remount,rw", card)
                wait_until_settled(home, *locked, *free)
                until(lambda: "read-only" not in home.maclip("status").stdout, "the end of the pause")
                daemon.stop()
            assert home.sql("select distinct stars_written, rating_in_file from photos") == [(stars, stars)]
        after = originals(card) | originals(home.photos)
        assert {path: after[path] for path in before} == before
    figures(rounds=1 + rounds, files=len(locked) + len(free), faults=1 + rounds)


def test_a_disk_that_lists_but_cannot_be_read_uses_up_no_attempts(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds = 4 if full else 1
    photos: list[Path] = []
    with mounts.failing_disk(home.folder / "image", home.photos) as disk, running(home, **SOON) as daemon:
        until(lambda: home.sql("select 1 from roots where scanned_at is not null"), "a first scan")
        for turn in range(rounds):
            rows = home.sql(ROWS)
            with stopped(daemon.process.pid):  # until the photos are there and the disk is broken
                photos += make_photos(disk.point, 6, first=100 * turn)
                before = originals(disk.point)
                disk.fail(photos)
            wait_for_the_pause(home, "cannot be read (Input/output error)")
            check_that_it_idles(daemon, full)
            check_that_no_attempt_was_used_up(home)
            disk.heal()
            wait_until_settled(home, *photos)
            assert {row[:5] for row in rows} <= {row[:5] for row in home.sql(ROWS)}
            assert originals(disk.point) == before
            assert sidecars(disk.point) == {photo.name for photo in photos}
        # One bad photo on a good disk fails alone.
        with stopped(daemon.process.pid):
            photos += make_photos(disk.point, 4, first=900)
            bad = mounts.last_on_disk(photos)
            disk.fail([bad])
            bad.touch()  # so that it is looked at in any case
        until(lambda: home.sql("select count(*) from photo_failures") == [(1,)], "the failure")
        names = {photo.name for photo in photos if photo != bad}
        until(lambda: home.scored().keys() == names, "the others scored")
        assert home.sql("select state from roots") == [("watched",)]
        daemon.stop()
    figures(rounds=1 + rounds, files=len(photos), faults=1 + rounds, note="a disk that gives EIO")


def test_ratings_on_a_disk_that_cannot_be_read_use_up_no_attempts(
    home: Home, full: bool, figures: Figures
) -> None:
    if not full:
        pytest.skip("the long form has it: what scores do, ratings do in the same way")
    with mounts.failing_disk(home.folder / "image", home.photos) as disk:
        photos = make_photos(disk.point, 6)
        with running(home, MACLIP_RATING__MODE="off", **SOON) as daemon:
            until(lambda: len(home.scored()) == 6, "six scores")
            until(lambda: home.sql("select 1 from calibrations"), "a calibration")
            daemon.stop()
        disk.fail(photos)
        with running(home, **SOON) as daemon:
            wait_for_the_pause(home, "cannot be read (Input/output error)")
            check_that_no_attempt_was_used_up(home)
            disk.heal()
            wait_until_settled(home, *photos)
            said = daemon.stop()
        assert not [line for line in said.splitlines() if "outcome='retry'" in line or "dead" in line]
        assert sidecars(disk.point) == {photo.name for photo in photos}
    figures(rounds=1, files=len(photos), faults=1)


def test_a_network_share_is_polled_and_a_lost_server_is_waited_for(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds = 5 if full else 1
    server = home.folder / "server"
    photos = make_photos(server, 6)
    with mounts.share(server, home.photos) as share, running(home, **SOON) as daemon:
        wait_until_settled(home, *photos)
        assert home.sql("select state from roots") == [("polled",)]
        until(lambda: told(home).get("file_system", "").startswith("fuse"), "the kind of file system")
        assert not told(home)["events"]
        assert "scans only" in home.maclip("status").stdout
        # Another machine writes to the server: no event can come.
        photos.append(make_photo(server / "sub" / "other.jpg", 70))
        wait_until_settled(home, *photos)
        rows = home.sql(ROWS)
        for turn in range(rounds):
            share.lose()
            wait_for_the_pause(home, "cannot be read (")
            if turn == 0:
                check_that_it_idles(daemon, full)
            assert home.sql(ROWS) == rows
            share.end()
            share.serve()
            wait_until_settled(home, *photos)
            assert home.sql(ROWS) == rows
        # A server that does not answer at all must not keep the daemon from ending.
        assert share.server is not None
        share.server.send_signal(signal.SIGSTOP)
        scans = daemon.said().count("folder scanned")
        time.sleep(7)  # a share that answers is scanned every two seconds
        try:
            said = daemon.stop()
        finally:
            share.server.send_signal(signal.SIGCONT)
        assert daemon.process.returncode == 0
        assert said.count("folder scanned") <= scans + 1, "the share still answered"  # one may have been done
    assert sidecars(server) == {photo.name for photo in photos}
    figures(rounds=rounds, files=len(photos), faults=1 + rounds, note="a FUSE share")


def test_a_share_that_does_not_answer_holds_up_nothing_else(home: Home, full: bool, figures: Figures) -> None:
    """The server stands still, in the middle of work, in the middle of nothing, and before the start."""
    rounds = 12 if full else 1
    chance = random.Random(11)
    server, share_point = home.folder / "server", home.folder / "nas"
    share_point.mkdir()
    photos = make_photos(server, 6)
    here = make_photos(home.photos, 6, first=20)
    soon = {**SOON, "MACLIP_FOLDERS__FILESYSTEM_TIMEOUT_S": "2", "MACLIP_DECODING__TIMEOUT_S": "3"}
    with mounts.share(server, share_point) as share:
        assert share.server is not None
        with running(home, share_point, home.photos, **soon) as daemon:
            wait_until_settled(home, *photos, *here)
            for turn in range(rounds):
                rows = home.sql(ROWS)
                photos += make_photos(server / "new", 30, first=100 + 40 * turn)
                if full:  # until they are found, settle, are decoded, or rated
                    time.sleep(chance.uniform(1, 9))
                with stopped(share.server.pid):
                    here.append(make_photo(home.photos / f"{turn}" / f"meanwhile{turn}.jpg", 70 + turn))
                    # What is in hand of the share is given up after a time limit.
                    until(lambda: here[-1].name in home.scored(), "a photo of the other root scored", 300)
                    until(lambda: here[-1].name in sidecars(home.photos), "and rated", 300)
                    until(lambda: home.sql("select 1 from roots where state = 'paused'"), "the pause")
                    assert "does not answer" in home.maclip("status").stdout
                    if turn == 0:
                        check_that_it_idles(daemon, full)
                    check_that_no_attempt_was_used_up(home)
                wait_until_settled(home, *photos, *here)
                assert {row[:4] for row in rows} <= {row[:4] for row in home.sql(ROWS)}, "scored again"
            daemon.stop()
        with stopped(share.server.pid):
            here.append(make_photo(home.photos / "once.jpg", 89))
            once = home.maclip("run", "--once", share_point, home.photos, expect=None, **soon)
            assert "does not answer" in once.stderr, once.stdout
            assert "once.jpg" in sidecars(home.photos)
            doctor = home.maclip("doctor", expect=3, MACLIP_FOLDERS__PATHS=json.dumps([str(share_point)]))
            assert "does not answer" in doctor.stdout
        # The machine is started while the server is away.
        with stopped(share.server.pid), running(home, share_point, home.photos, **soon) as daemon:
            here.append(make_photo(home.photos / "last.jpg", 90))
            until(lambda: "last.jpg" in sidecars(home.photos), "a photo scored and rated")
            assert "does not answer" in home.maclip("status").stdout
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: "configuration reloaded" in daemon.said(), "the reload")
            os.kill(share.server.pid, signal.SIGCONT)
            wait_until_settled(home, *photos, *here)
            daemon.stop()
    assert sidecars(server) == {photo.name for photo in photos}
    assert home.sql("select count(*) from roots") == [(2,)]
    figures(
        rounds=1 + rounds, files=len(photos) + len(here), faults=1 + rounds, note="a share that stood still"
    )


def test_undo_and_new_stars_pass_over_a_share_that_does_not_answer(home: Home, figures: Figures) -> None:
    server, share_point = home.folder / "server", home.folder / "nas"
    share_point.mkdir()
    remote = make_photos(server, 8)
    here = make_photos(home.photos, 8, first=20)
    soon = {"MACLIP_FOLDERS__FILESYSTEM_TIMEOUT_S": "2"}
    with mounts.share(server, share_point) as share:
        assert share.server is not None
        home.maclip("run", "--once", share_point, home.photos)
        as_rated = contents(server)
        with stopped(share.server.pid):
            undone = home.maclip("undo", expect=1, **soon)
            assert undone.stdout == "8 sidecars removed; 8 left alone for the reasons listed above.\n"
            assert undone.stderr.count("does not answer") == 8
            assert sidecars(home.photos) == set()
        share.end()  # an empty folder where the share was, then none, then one with something else in it
        assert home.maclip("undo", expect=1).stderr.count("is empty, but maclip knows 8 photos in it") == 8
        share_point.rename(home.folder / "moved")
        assert home.maclip("undo", share_point, expect=1).stderr.count("is gone") == 8
        make_photo(share_point / "stray.jpg", 99)
        assert home.maclip("undo", share_point, expect=1).stderr.count("is on another disk") == 8
        (share_point / "stray.jpg").unlink()
        share.serve()
        assert contents(server) == as_rated
        with stopped(share.server.pid):
            rated = home.maclip("rate", expect=3, **soon, MACLIP_RATING__EDGES="[9, 9, 9, 9]")
            assert "does not answer" in rated.stderr
            assert "8 rated, 0 of your own" in rated.stdout
            assert sidecars(home.photos) == {photo.name for photo in here}
            check_that_no_attempt_was_used_up(home)
        assert contents(server) == as_rated
        home.maclip("rate", MACLIP_RATING__EDGES="[9, 9, 9, 9]")
        assert home.sql("select distinct rating_owner, stars_written from photos") == [("maclip", 1)]
        assert home.maclip("undo").stdout == "16 sidecars removed.\n"
    assert sidecars(server) == sidecars(home.photos) == set()
    figures(
        rounds=6, files=len(remote) + len(here), faults=6, note="undo and rate beside a share that is away"
    )
