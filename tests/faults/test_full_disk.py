"""A full disk of the database, the sidecars or the spool: work pauses, is reported, and resumes."""

from __future__ import annotations

import json
import shutil
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import Figures
from tests.faults.logged_daemon import LoggedDaemon, running
from tests.faults.small_disk import small_disk
from tests.homes import Home, contents, make_photos
from tests.homes import until as wait_until

PAUSE_S = "0.5"
TIMEOUT_S = 900.0  # a hundred photos of the long form beside other work


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, TIMEOUT_S)


def pauses(home: Home) -> str:
    """Return the lines of `maclip status` about pauses."""
    lines = home.maclip("status", expect=None).stdout.splitlines()
    return "\n".join(line for line in lines if line.startswith("paused"))


def copies(folder: Path, photos: list[Path], first: int, count: int) -> list[Path]:
    """Copy photos under new names; return the copies."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(first, first + count):
        copy = folder / f"IMG_{number:04d}.jpg"
        shutil.copyfile(photos[number % len(photos)], copy)
        made.append(copy)
    return made


def whole_sidecars(folder: Path) -> set[str]:
    """Return the photos with a sidecar; fail on a sidecar that is not well-formed XML."""
    for sidecar in folder.rglob("*.xmp"):
        ElementTree.parse(sidecar)
    return {sidecar.name.removesuffix(".xmp") for sidecar in folder.rglob("*.xmp")}


def assert_nothing_was_lost(home: Home, originals: dict[Path, bytes], *folders: Path) -> None:
    names = {path.name for path in originals}
    assert home.scored().keys() == names
    assert {path: path.read_bytes() for path in originals} == originals
    for folder in folders:
        assert not list(folder.rglob(".maclip-*")), "a temporary file was left"
        assert whole_sidecars(folder) == {path.name for path in originals if folder in path.parents}
    assert home.sql("select count(*) from jobs") == [(0,)]
    assert home.sql("select count(*) from rating_journal where state = 'intended'") == [(0,)]
    assert home.sql("pragma integrity_check") == [("ok",)]
    assert "no problem found" in home.maclip("db", "check").stdout


def count_logged(daemon: LoggedDaemon, event: str) -> int:
    return sum(f"] {event} " in f"{line} " for line in daemon.log_text().splitlines())


def test_a_full_database_disk_pauses_all_work_until_there_is_space_again(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds, photos_a_round, held_s = (6, 20, 6.0) if full else (2, 8, 1.5)
    with small_disk(home.data, 32) as disk, small_disk(home.data / "spool", 64):
        make_photos(home.photos, 6)
        with running(home, MACLIP_JOBS__PAUSE_S=PAUSE_S, MACLIP_FOLDERS__RESCAN_INTERVAL_S="5") as daemon:
            until(lambda: len(whole_sidecars(home.photos)) == 6, "six ratings")
            until(home.is_at_rest, "rest")
            made = 6
            for number in range(rounds):
                disk.fill(leave=(0, 40_000, 200_000)[number % 3])
                while count_logged(daemon, "paused") <= number:  # the log may have had room for the last ones
                    make_photos(home.photos, photos_a_round, first=made)
                    made += photos_a_round
                    until(
                        lambda: count_logged(daemon, "paused") > number or len(home.scored()) == made,  # noqa: B023
                        "the pause in the log",
                    )
                until(lambda: "full" in pauses(home), "the pause in status")
                as_json = json.loads(home.maclip("status", "--json", expect=None).stdout)
                assert "full" in as_json["paused"]["library"]
                time.sleep(held_s)
                assert count_logged(daemon, "paused") == number + 1, daemon.log_text()
                assert home.sql("select coalesce(max(attempts), 0) from jobs") == [(0,)]
                assert home.sql("pragma integrity_check") == [("ok",)]
                disk.empty()
                until(lambda: len(home.scored()) == made, "the scores of the round")  # noqa: B023
                until(home.is_at_rest, "the ratings of the round")
                until(lambda: not pauses(home), "the end of the pause in status")
                assert count_logged(daemon, "resumed") == number + 1, daemon.log_text()
            daemon.stop()
            assert daemon.process.returncode == 0
        originals = {path: data for path, data in contents(home.photos).items() if path.suffix == ".jpg"}
        assert_nothing_was_lost(home, originals, home.photos)
    figures(rounds=rounds, files=made, faults=rounds, note="the database's disk full, and space again")


@pytest.mark.long_form
def test_a_daemon_that_starts_on_a_full_disk_waits_for_space(home: Home, figures: Figures) -> None:
    with small_disk(home.data, 32) as disk:
        make_photos(home.photos, 5)
        disk.fill()
        with running(home, MACLIP_JOBS__PAUSE_S=PAUSE_S) as daemon:
            until(lambda: count_logged(daemon, "paused") == 1, "the pause in the log")
            time.sleep(1.5)
            assert count_logged(daemon, "paused") == 1, daemon.log_text()
            disk.empty()
            until(lambda: len(whole_sidecars(home.photos)) == 5, "five ratings")
            until(home.is_at_rest, "rest")
            daemon.stop()
        originals = {path: data for path, data in contents(home.photos).items() if path.suffix == ".jpg"}
        assert_nothing_was_lost(home, originals, home.photos)
    figures(rounds=1, files=5, faults=1)


def test_a_full_photo_disk_delays_its_own_sidecars_and_blocks_no_other_disk(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds, on_full_disk, elsewhere = (3, 200, 40) if full else (1, 40, 6)
    first = home.folder / "Card"
    with small_disk(first, 48) as disk:
        patterns = make_photos(home.folder / "patterns", 8)
        copies(first / "a", patterns, 0, on_full_disk // 2)
        copies(first / "b", patterns, on_full_disk // 2, on_full_disk - on_full_disk // 2)
        disk.fill()
        made = on_full_disk
        # Only a scan finds a touched photo: a changed time causes no write event.
        rescan = {"MACLIP_FOLDERS__RESCAN_INTERVAL_S": "5"}
        with running(home, first, home.photos, MACLIP_JOBS__PAUSE_S=PAUSE_S, **rescan) as daemon:
            for number in range(rounds):
                before = len(whole_sidecars(home.photos))
                copies(home.photos, patterns, made, elsewhere)
                made += elsewhere
                until(lambda: len(whole_sidecars(home.photos)) == before + elsewhere, "the other disk")  # noqa: B023
                until(lambda: str(first) in pauses(home), "the pause in status, with the folder")
                assert str(home.photos) not in pauses(home)
                assert count_logged(daemon, "paused") == number + 1, daemon.log_text()
                temporary = set(first.rglob(".maclip-*"))  # each attempt has one of its own
                until(
                    lambda: not temporary & set(first.rglob(".maclip-*")),  # noqa: B023
                    "the end of a temporary file, which takes the room that is missing",
                )
                assert home.sql("select max(attempts) from jobs where kind = 'rate'") == [(0,)]
                disk.empty()
                until(home.is_at_rest, "the ratings of the full disk")
                until(lambda: not pauses(home), "the end of the pause in status")
                assert count_logged(daemon, "resumed") == number + 1, daemon.log_text()
                if number < rounds - 1:
                    for sidecar in first.rglob("*.xmp"):
                        sidecar.unlink()
                    disk.fill()
                    for photo in first.rglob("*.jpg"):
                        photo.touch()  # scored and rated again
                    until(
                        lambda: home.sql("select 1 from jobs where kind = 'rate'"), "work for the full disk"
                    )
            daemon.stop()
        originals = {
            path: data
            for folder in (first, home.photos)
            for path, data in contents(folder).items()
            if path.suffix == ".jpg"
        }
        assert_nothing_was_lost(home, originals, first, home.photos)
    figures(rounds=rounds, files=made, faults=rounds, note="one of two photo disks full")


@pytest.mark.long_form
def test_run_once_on_a_full_and_a_free_disk_rates_what_it_can_and_reports_the_rest(
    home: Home, figures: Figures
) -> None:
    first = home.folder / "Card"
    with small_disk(first, 16) as disk:
        patterns = make_photos(home.folder / "patterns", 8)
        copies(first, patterns, 0, 8)
        copies(home.photos, patterns, 8, 8)
        disk.fill()
        done = home.maclip("run", "--once", first, home.photos, expect=3)
        assert f"The disk of {first} is full" in done.stderr
        assert len(whole_sidecars(home.photos)) == 8
        assert not list(first.glob("*.xmp"))
        disk.empty()
        home.maclip("run", "--once", first, home.photos)
        assert len(whole_sidecars(first)) == 8
    figures(rounds=1, files=16, faults=1)


@pytest.mark.long_form
def test_a_full_disk_for_decoded_pixels_pauses_scoring_and_counts_no_attempt(
    home: Home, figures: Figures
) -> None:
    rounds, photos_a_round = (6, 20)
    with small_disk(home.data / "spool", 16) as disk:
        with running(home, MACLIP_JOBS__PAUSE_S=PAUSE_S, TMPDIR=str(disk.folder)) as daemon:
            made = 0
            for number in range(rounds):
                disk.fill()
                make_photos(home.photos, photos_a_round, first=made)
                made += photos_a_round
                until(lambda: count_logged(daemon, "paused") > number, "the pause in the log")  # noqa: B023
                until(lambda: "decoded photos" in pauses(home), "the pause in status")
                time.sleep(1.5)
                assert count_logged(daemon, "paused") == number + 1, daemon.log_text()
                assert home.sql("select max(attempts) from jobs") == [(0,)]
                disk.empty()
                until(lambda: len(home.scored()) == made and home.is_at_rest(), "all work")  # noqa: B023
                until(lambda: not pauses(home), "the end of the pause in status")
                assert count_logged(daemon, "resumed") == number + 1, daemon.log_text()
            daemon.stop()
        assert not list(disk.folder.glob("*"))
        originals = {path: data for path, data in contents(home.photos).items() if path.suffix == ".jpg"}
        assert_nothing_was_lost(home, originals, home.photos)
    figures(rounds=rounds, files=made, faults=rounds, note="the spool's disk full")


@pytest.mark.long_form
def test_a_backup_onto_a_full_disk_and_a_read_only_data_folder_are_refused_with_the_reason(
    home: Home, figures: Figures
) -> None:
    with small_disk(home.data, 32) as disk, small_disk(home.folder / "stick", 1) as stick:
        make_photos(home.photos, 5)
        home.maclip("run", "--once", home.photos)
        before = contents(home.data)
        stick.fill(leave=40_000)
        refused = home.maclip("db", "backup", stick.folder / "copy.db", expect=3).stderr
        assert f"{stick.folder / 'copy.db'} was not written" in refused
        assert [path.name for path in stick.folder.iterdir()] == [".ballast"]
        stick.empty()
        home.maclip("db", "backup", stick.folder / "copy.db")
        assert contents(home.data) == before
        disk.remount("ro")
        try:
            refused = home.maclip("run", home.photos, expect=3).stderr
            assert str(home.data) in refused
            assert "Read-only file system" in refused
            assert "Traceback" not in refused
            assert "5 scored" in home.maclip("status").stdout
            assert home.maclip("worst", "--format", "paths").stdout.count("\n") == 5
            assert "no problem found" in home.maclip("db", "check").stdout
            assert contents(home.data) == before
        finally:
            disk.remount("rw")
    figures(rounds=1, files=5, faults=2, note="a full disk for the backup, a read-only data folder")
