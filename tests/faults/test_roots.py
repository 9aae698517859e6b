"""Roots that go offline, become read-only or unreadable, or are a network share: paused and resumed."""

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

MAX_PROCESSOR_SHARE = 0.2  # of a core, while a root is offline; the daemon uses a hundredth
SHORT_INTERVALS = {
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
    """Wait until exactly these photos are scored and rated, and no job is left."""
    names = {photo.name for photo in photos}
    until(lambda: home.scored().keys() == names, f"{len(names)} photos scored")
    until(lambda: home.sql("select count(*) from photos where stars_written is null") == [(0,)], "stars")
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photo_failures") == [(0,)]


def wait_until_paused(home: Home) -> None:
    until(lambda: home.sql("select 1 from roots where state = 'paused'"), "the pause")
    until(lambda: home.sql("select distinct state from photos") == [("missing",)], "the photos to be missing")


def wait_until_paused_because(home: Home, reason: str) -> None:
    """Wait until the root is paused for this reason, and its photos are missing."""
    wait_until_paused(home)
    assert reason in home.sql("select reason from roots where state = 'paused'")[0][0]
    assert reason in home.maclip("status").stdout


def assert_idle(daemon: LoggedDaemon, full: bool) -> None:
    """Check that the daemon and its children use almost no processor time."""
    seconds = 20 if full else 3
    before = _processor_s(daemon.process.pid)
    began = time.monotonic()
    time.sleep(seconds)
    used = _processor_s(daemon.process.pid) - before
    assert used < MAX_PROCESSOR_SHARE * (time.monotonic() - began), (
        f"{used:.1f} s of processor in {seconds} s"
    )


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
    """Suspend a process."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def assert_no_attempt_used(home: Home) -> None:
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    assert home.sql("select kind, reason, attempts from jobs where attempts > 0") == []


def folder_status(home: Home) -> dict[str, Any]:
    """Return the state of the daemon's first folder."""
    rows = home.sql("select value from notes where key = 'daemon'")
    folder: dict[str, Any] = json.loads(rows[0][0])["folders"][0] if rows else {}
    return folder


@pytest.mark.long_form("with another photo below it")
@pytest.mark.parametrize("left_over", [False, True], ids=["empty", "with another photo below it"])
def test_an_unmounted_root_is_paused_and_resumes_unchanged(
    home: Home, full: bool, figures: Figures, left_over: bool
) -> None:
    rounds = 5 if full else 1
    if left_over:  # a photo saved while the disk was not mounted
        make_photo(home.photos / "stray.jpg", 99)
    store = home.folder / "disk"
    with mounts.removable_disk(store, home.photos):
        photos = make_photos(home.photos / "2026", 6)
        with running(home, **SHORT_INTERVALS) as daemon:
            wait_until_settled(home, *photos)
            before = originals(home.photos)
            for turn in range(rounds):
                rows, journal = home.sql(ROWS), home.sql("select * from rating_journal order by id")
                mounts.unmount(home.photos)
                wait_until_paused_because(home, "another disk" if left_over else "is empty")
                if turn == 0 and (full or not left_over):
                    assert_idle(daemon, full)
                assert home.sql(ROWS) == rows
                assert sidecars(home.photos) == set(), "something was written below the mount point"
                mounts.attach(store, home.photos)
                wait_until_settled(home, *photos)
                assert home.sql(ROWS) == rows
                assert home.sql("select * from rating_journal order by id") == journal
            photos.append(make_photo(home.photos / "2026" / "new.jpg", 50))
            wait_until_settled(home, *photos)
            rows = home.sql(ROWS)
            if full or not left_over:
                # Unmounted again, and the daemon restarted without it: the daemon still waits for it.
                mounts.unmount(home.photos)
                wait_until_paused(home)
            daemon.stop()
        if full or not left_over:
            with running(home, **SHORT_INTERVALS) as daemon:
                until(
                    lambda: daemon.log_text().count("folder paused") == rounds + 2, "the pause after a start"
                )
                assert home.sql("select state from roots") == [("paused",)]
                assert home.sql(ROWS) == rows
                mounts.attach(store, home.photos)
                wait_until_settled(home, *photos)
                daemon.stop()
        assert home.sql(ROWS) == rows
        assert {path: originals(home.photos)[path] for path in before} == before
        assert sidecars(home.photos) == {photo.name for photo in photos}
    figures(rounds=rounds, files=7, faults=rounds)


def test_a_mount_that_moves_or_comes_below_a_root_is_noticed_without_an_event(
    home: Home, figures: Figures
) -> None:
    """inotify says nothing of `mount --move`, nor of a disk that is laid over a folder."""
    tree = home.folder / "tree"
    root, elsewhere, card = tree / "Pictures", tree / "elsewhere", home.folder / "card"
    with mounts.memory_disk(tree):
        mounts.mount("--make-private", tree)  # below a shared mount nothing can be moved
        root.mkdir()
        elsewhere.mkdir()
        mounts.mount("-t", "tmpfs", "tmpfs", root)
        (root / "card").mkdir()
        photos, on_the_card = make_photos(root, 6), make_photos(card, 3, first=20)
        with running(home, root) as daemon:  # the next scan of its own would come in five minutes
            wait_until_settled(home, *photos)
            rows = home.sql(ROWS)
            mounts.mount("--move", root, elsewhere)
            wait_until_paused_because(home, "is empty")
            assert list(root.iterdir()) == [], "something was written below the mount point"
            mounts.mount("--move", elsewhere, root)
            wait_until_settled(home, *photos)
            assert home.sql(ROWS) == rows
            mounts.attach(card, root / "card")
            wait_until_settled(home, *photos, *on_the_card)
            daemon.stop()
        assert sidecars(root) == {photo.name for photo in [*photos, *on_the_card]}
    figures(rounds=2, files=9, faults=2, note="a mount that moved, a card mounted below a root")


def test_a_root_lost_in_the_middle_of_a_scan_loses_nothing(home: Home, full: bool, figures: Figures) -> None:
    rounds = 40 if full else 4
    chance = random.Random(7)
    store = home.folder / "disk"
    with mounts.removable_disk(store, home.photos):
        photos = [make_photo(home.photos / f"{number:03d}" / f"{number}.jpg", number) for number in range(12)]
        for number in range(800):  # for a long scan
            (home.photos / f"{number:03d}").mkdir(exist_ok=True)
        # Scan continuously, so that a scan is nearly always under way.
        always = {**SHORT_INTERVALS, "MACLIP_FOLDERS__RESCAN_INTERVAL_S": "0.01"}
        with running(home, **always) as daemon:
            wait_until_settled(home, *photos)
            rows = home.sql(ROWS)
            for _ in range(rounds):
                time.sleep(chance.uniform(0, 0.2))
                mounts.unmount(home.photos)
                wait_until_paused(home)
                assert home.sql(ROWS) == rows
                mounts.attach(store, home.photos)
                wait_until_settled(home, *photos)
            log = daemon.stop()
        assert home.sql(ROWS) == rows
        scans = [line for line in log.splitlines() if "] folder scanned " in line]
        assert scans
        assert not [line for line in scans if "missing=0" not in line], (
            "a scan mistook a lost disk for deletions"
        )
        assert "unexpected error" not in log
    figures(rounds=rounds, files=len(photos), faults=rounds, note=f"{len(scans)} scans meanwhile")


def test_a_read_only_root_is_scored_and_its_ratings_wait(home: Home, full: bool, figures: Figures) -> None:
    rounds = 5 if full else 1
    card = home.folder / "card"
    with mounts.memory_disk(card):
        locked = make_photos(card, 6)
        free = make_photos(home.photos, 6, first=10)
        before = originals(card) | originals(home.photos)
        mounts.mount("-o", "remount,ro", card)
        with running(home, card, home.photos, **SHORT_INTERVALS) as daemon:
            # Scoring goes on, and so do the ratings of the other root.
            until(lambda: len(home.scored()) == 12, "all scored")
            until(lambda: len(sidecars(home.photos)) == 6, "the ratings of the other root")
            until(lambda: "read-only" in home.maclip("status").stdout, "read-only in status")
            until(
                lambda: home.sql(WAITING) == [(6, 0)],
                "only the card's ratings to wait, without attempts",
            )
            assert_idle(daemon, full)
            mounts.mount("-o", "remount,rw", card)
            wait_until_settled(home, *locked, *free)
            assert sidecars(card) == {photo.name for photo in locked}
            daemon.stop()
        for turn in range(rounds):
            # Again, with existing sidecars and new stars for every photo.
            mounts.mount("-o", "remount,ro", card)
            stars = 1 + 4 * ((turn + 1) % 2)
            shares = json.dumps([100 if number == stars else 0 for number in range(1, 6)])
            with running(home, card, home.photos, MACLIP_RATING__SHARES=shares, **SHORT_INTERVALS) as daemon:
                until(lambda: "read-only" in home.maclip("status").stdout, "read-only in status")
                until(lambda: home.sql(WAITING) == [(6, 0)], "only the ratings of the card to wait")
                mounts.mount("-o", "remount,rw", card)
                wait_until_settled(home, *locked, *free)
                until(lambda: "read-only" not in home.maclip("status").stdout, "the end of the pause")
                daemon.stop()
            assert home.sql("select distinct stars_written, rating_in_file from photos") == [(stars, stars)]
        after = originals(card) | originals(home.photos)
        assert {path: after[path] for path in before} == before
    figures(rounds=1 + rounds, files=len(locked) + len(free), faults=1 + rounds)


@pytest.mark.long_form
def test_a_disk_that_lists_but_cannot_be_read_uses_up_no_attempts(home: Home, figures: Figures) -> None:
    rounds = 4
    photos: list[Path] = []
    with (
        mounts.failing_disk(home.folder / "image", home.photos) as disk,
        running(home, **SHORT_INTERVALS) as daemon,
    ):
        until(lambda: home.sql("select 1 from roots where scanned_at is not null"), "a first scan")
        for turn in range(rounds):
            rows = home.sql(ROWS)
            with stopped(daemon.process.pid):  # until the photos are written and the disk fails
                photos += make_photos(disk.point, 6, first=100 * turn)
                before = originals(disk.point)
                disk.fail(photos)
            wait_until_paused_because(home, "cannot be read (Input/output error)")
            assert_idle(daemon, full=True)
            assert_no_attempt_used(home)
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
            bad.touch()  # so that it is read again
        until(lambda: home.sql("select count(*) from photo_failures") == [(1,)], "the failure")
        names = {photo.name for photo in photos if photo != bad}
        until(lambda: home.scored().keys() == names, "the others scored")
        assert home.sql("select state from roots") == [("watched",)]
        daemon.stop()
    figures(rounds=1 + rounds, files=len(photos), faults=1 + rounds, note="a disk with EIO")


@pytest.mark.long_form  # ratings behave as scores do
def test_ratings_on_a_disk_that_cannot_be_read_use_up_no_attempts(home: Home, figures: Figures) -> None:
    with mounts.failing_disk(home.folder / "image", home.photos) as disk:
        photos = make_photos(disk.point, 6)
        with running(home, MACLIP_RATING__MODE="off", **SHORT_INTERVALS) as daemon:
            until(lambda: len(home.scored()) == 6, "six scores")
            until(lambda: home.sql("select 1 from calibrations"), "a calibration")
            daemon.stop()
        disk.fail(photos)
        with running(home, **SHORT_INTERVALS) as daemon:
            wait_until_paused_because(home, "cannot be read (Input/output error)")
            assert_no_attempt_used(home)
            disk.heal()
            wait_until_settled(home, *photos)
            log = daemon.stop()
        assert not [line for line in log.splitlines() if "outcome='retry'" in line or "dead" in line]
        assert sidecars(disk.point) == {photo.name for photo in photos}
    figures(rounds=1, files=len(photos), faults=1)


def test_a_network_share_is_polled_and_resumes_after_its_server_was_lost(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds = 5 if full else 1
    server = home.folder / "server"
    photos = make_photos(server, 6)
    with mounts.share(server, home.photos) as share, running(home, **SHORT_INTERVALS) as daemon:
        wait_until_settled(home, *photos)
        assert home.sql("select state from roots") == [("polled",)]
        until(
            lambda: folder_status(home).get("file_system", "").startswith("fuse"), "the kind of file system"
        )
        assert not folder_status(home)["events"]
        assert "scans only" in home.maclip("status").stdout
        # Another machine writes to the server, which causes no event.
        photos.append(make_photo(server / "sub" / "other.jpg", 70))
        wait_until_settled(home, *photos)
        rows = home.sql(ROWS)
        for turn in range(rounds):
            share.kill_server()
            wait_until_paused_because(home, "cannot be read (")
            if turn == 0:
                assert_idle(daemon, full)
            assert home.sql(ROWS) == rows
            share.end()
            share.serve()
            wait_until_settled(home, *photos)
            assert home.sql(ROWS) == rows
        # A server that does not answer must not block the end of the daemon.
        assert share.server is not None
        share.server.send_signal(signal.SIGSTOP)
        scans = daemon.log_text().count("folder scanned")
        time.sleep(7)  # a share that answers is scanned every two seconds
        try:
            log = daemon.stop()
        finally:
            share.server.send_signal(signal.SIGCONT)
        assert daemon.process.returncode == 0
        assert log.count("folder scanned") <= scans + 1, "the share still answered"  # one was under way
    assert sidecars(server) == {photo.name for photo in photos}
    figures(rounds=rounds, files=len(photos), faults=1 + rounds, note="a FUSE share")


def test_a_share_that_does_not_answer_blocks_nothing_else(home: Home, full: bool, figures: Figures) -> None:
    """Suspend the server during work, while idle, and before the start."""
    rounds = 12 if full else 1
    chance = random.Random(11)
    server, share_point = home.folder / "server", home.folder / "nas"
    share_point.mkdir()
    photos = make_photos(server, 6)
    here = make_photos(home.photos, 6, first=20)
    # Short, but not for the decoder of a photo that can be read, on a machine with much else to do.
    soon = {
        **SHORT_INTERVALS,
        "MACLIP_FOLDERS__FILESYSTEM_TIMEOUT_S": "2",
        "MACLIP_DECODING__TIMEOUT_S": "12",
    }
    with mounts.share(server, share_point) as share:
        assert share.server is not None
        with running(home, share_point, home.photos, **soon) as daemon:
            wait_until_settled(home, *photos, *here)
            for turn in range(rounds):
                rows = home.sql(ROWS)
                # They appear at once: a photo that is seen while it is written is tried again, which counts.
                new = make_photos(home.folder / "made", 30, first=100 + 40 * turn)
                arrived = new[0].parent.rename(server / f"new{turn}")
                photos += [arrived / photo.name for photo in new]
                if full:  # at a random stage: found, debounced, decoded, or rated
                    time.sleep(chance.uniform(1, 9))
                with stopped(share.server.pid):
                    here.append(make_photo(home.photos / f"{turn}" / f"meanwhile{turn}.jpg", 70 + turn))
                    # Work under way on the share is given up after a time-out.
                    until(lambda: here[-1].name in home.scored(), "a photo of the other root scored", 300)
                    until(lambda: here[-1].name in sidecars(home.photos), "and rated", 300)
                    until(lambda: home.sql("select 1 from roots where state = 'paused'"), "the pause")
                    assert "does not answer" in home.maclip("status").stdout
                    if turn == 0:
                        assert_idle(daemon, full)
                    assert_no_attempt_used(home)
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
        # Start the daemon while the server is suspended.
        with stopped(share.server.pid), running(home, share_point, home.photos, **soon) as daemon:
            here.append(make_photo(home.photos / "last.jpg", 90))
            until(lambda: "last.jpg" in sidecars(home.photos), "a photo scored and rated")
            assert "does not answer" in home.maclip("status").stdout
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: "configuration reloaded" in daemon.log_text(), "the reload")
            os.kill(share.server.pid, signal.SIGCONT)
            wait_until_settled(home, *photos, *here)
            daemon.stop()
    assert sidecars(server) == {photo.name for photo in photos}
    assert home.sql("select count(*) from roots") == [(2,)]
    figures(
        rounds=1 + rounds,
        files=len(photos) + len(here),
        faults=1 + rounds,
        note="a silent share",
    )


@pytest.mark.long_form
def test_undo_and_rate_skip_a_share_that_does_not_answer(home: Home, figures: Figures) -> None:
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
        share.end()  # the share's folder is empty, then missing, then holds another photo
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
            assert_no_attempt_used(home)
        assert contents(server) == as_rated
        home.maclip("rate", MACLIP_RATING__EDGES="[9, 9, 9, 9]")
        assert home.sql("select distinct rating_owner, stars_written from photos") == [("maclip", 1)]
        assert home.maclip("undo").stdout == "16 sidecars removed.\n"
    assert sidecars(server) == sidecars(home.photos) == set()
    figures(rounds=6, files=len(remote) + len(here), faults=6, note="undo and rate beside an offline share")


FOREIGN_SIDECAR = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/jpeg"/></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def test_a_share_without_extended_attributes_gets_stars_and_its_files_back(
    home: Home, figures: Figures
) -> None:
    """As on sshfs, rclone and exFAT: sidecars are updated and brought back, and embedded stars too."""
    server = home.folder / "server"
    photos = make_photos(server, 8)
    photos[0].with_name(photos[0].name + ".xmp").write_text(FOREIGN_SIDECAR)
    as_found = contents(server)
    with mounts.share(server, home.photos, "--xattr-none"):
        with pytest.raises(OSError, match="not supported"):
            os.listxattr(home.photos / photos[0].name)
        home.maclip("run", "--once", home.photos)
        for mode in ("sidecar", "embed"):
            home.maclip("rate", MACLIP_RATING__MODE=mode)  # undone photos get stars again on request only
            rated = home.sql("select count(*) from photo_quality where rating_owner = 'maclip'")
            assert rated == [(len(photos),)], home.maclip("status").stdout
            assert len(sidecars(server)) == (len(photos) if mode == "sidecar" else 1)
            assert contents(server).items() & as_found.items() != as_found.items()
            home.maclip("undo")
            assert contents(server) == as_found
    figures(rounds=2, files=len(photos), faults=1, note="a share without extended attributes")
