"""A used-up quota is a full disk; a data folder without shared memory is worked with all the same."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.library.storage.database import Library
from tests.faults import mounts
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.faults.test_full_disk import PAUSE_S, assert_nothing_was_lost, count_logged, pauses, until
from tests.homes import Home, contents, make_photos

QUOTA_MIB = 24
BTRFS_MIB = 160
WRITTEN_BACK_S = 3.0  # seconds until the kernel has written mapped pages, which are protected from then on


class QuotaDisk:
    """A btrfs subvolume with a limit of its own: also root must keep it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / ".ballast"

    def use_up(self) -> None:
        for size in (1 << 20, 4096):
            try:
                with self._ballast.open("ab", buffering=0) as file:
                    while True:
                        file.write(os.urandom(size))
            except OSError as error:
                if error.errno != errno.EDQUOT:
                    raise
        subprocess.run(["sync", "-f", self.folder], check=True)

    def limit(self, size: str) -> None:
        subprocess.run(["btrfs", "qgroup", "limit", size, self.folder], check=True, capture_output=True)


@pytest.fixture
def quota(home: Home) -> Iterator[QuotaDisk]:
    """Put the data folder on a btrfs where a quota limits it."""
    if shutil.which("mkfs.btrfs") is None or os.geteuid() != 0:
        pytest.skip("needs root and the Debian package btrfs-progs")
    image, point = home.folder / "btrfs.img", home.folder / "btrfs"
    image.touch()
    os.truncate(image, BTRFS_MIB << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
    point.mkdir()
    with mounts.unmounted_at_the_end(point):
        mounts.mount("-o", "loop,noatime", image, point)
        for command in (["quota", "enable", point], ["subvolume", "create", point / "mine"]):
            subprocess.run(["btrfs", *command], check=True, capture_output=True)
        (point / "mine").chmod(0o700)
        disk = QuotaDisk(point / "mine")
        disk.limit(f"{QUOTA_MIB}M")
        home.data = disk.folder
        home.environment["MACLIP_DATA_DIR"] = str(home.data)
        yield disk
        home.kill_daemons()


def test_a_used_up_quota_of_the_data_folder_pauses_all_work_until_there_is_room(
    home: Home, quota: QuotaDisk, full: bool, figures: Figures
) -> None:
    rounds = 4 if full else 1
    made = 6
    make_photos(home.photos, made)
    for number in range(rounds):
        quota.limit(f"{QUOTA_MIB}M")
        with running(home, MACLIP_JOBS__PAUSE_S=PAUSE_S) as daemon:
            until(lambda: len(home.scored()) == made and home.is_at_rest(), "the first photos")  # noqa: B023
            # On btrfs a store into a mapped file copies a block: without room it ends the process.
            assert not list(home.data.glob("*-shm"))
            already = count_logged(daemon, "paused")
            quota.use_up()
            time.sleep(WRITTEN_BACK_S)
            make_photos(home.photos, 6, first=made)
            made += 6
            until(lambda: count_logged(daemon, "paused") > already, "the pause in the log")  # noqa: B023
            until(lambda: f"The quota of {home.data} is used up" in pauses(home), "the pause in status")
            assert "no problem found" in home.maclip("db", "check").stdout
            if number % 2:  # stopped while there is no room, and started again
                daemon.stop()
                assert daemon.process.returncode == 0
            else:
                quota.limit("none")
                until(lambda: len(home.scored()) == made and home.is_at_rest(), "all work")  # noqa: B023
                until(lambda: not pauses(home), "the end of the pause in status")
                daemon.stop()
                assert daemon.process.returncode == 0
        if number % 2:
            with running(home, MACLIP_JOBS__PAUSE_S=PAUSE_S) as daemon:
                until(lambda: "quota of" in pauses(home), "the pause after a start")
                quota.limit("none")
                until(lambda: len(home.scored()) == made and home.is_at_rest(), "all work")  # noqa: B023
                daemon.stop()
    originals = {path: data for path, data in contents(home.photos).items() if path.suffix == ".jpg"}
    assert_nothing_was_lost(home, originals, home.photos)
    figures(rounds=rounds, files=made, faults=rounds, note="a used-up quota of the data folder")


def test_a_used_up_quota_of_the_photos_delays_their_stars_and_is_named(
    home: Home, quota: QuotaDisk, figures: Figures
) -> None:
    photos = quota.folder / "photos"
    home.data = home.folder / "data"
    home.environment["MACLIP_DATA_DIR"] = str(home.data)
    make_photos(photos, 6)
    quota.use_up()
    with running(home, photos, MACLIP_JOBS__PAUSE_S=PAUSE_S) as daemon:
        until(lambda: f"The quota of {photos} is used up" in pauses(home), "the pause in status")
        assert home.sql("select max(attempts) from jobs") == [(0,)]
        quota.limit("none")
        until(lambda: len(list(photos.glob("*.xmp"))) == 6 and home.is_at_rest(), "the stars")
        daemon.stop()
    originals = {path: data for path, data in contents(photos).items() if path.suffix == ".jpg"}
    assert_nothing_was_lost(home, originals, photos)
    figures(rounds=1, files=6, faults=1, note="a used-up quota of the photos")


def test_a_data_folder_without_shared_memory_is_worked_with(home: Home, figures: Figures) -> None:
    """As on some network shares: no file can be mapped. The library comes from a disk where one can."""
    make_photos(home.photos, 5)
    server = home.folder / "server"
    home.data = home.folder / "first"
    home.environment["MACLIP_DATA_DIR"] = str(home.data)
    home.maclip("run", "--once", home.photos)
    server.mkdir(mode=0o700)
    (home.folder / "nas").mkdir()
    with mounts.share(server, home.folder / "nas", "-o", "direct_io"):
        home.data = home.folder / "nas" / "data"
        home.environment["MACLIP_DATA_DIR"] = str(home.data)
        shutil.copytree(home.folder / "first", home.data)
        assert "5 scored" in home.maclip("status").stdout
        make_photos(home.photos, 5, first=5)
        with running(home) as daemon:
            until(lambda: "watching" in daemon.log_text(), "the start, which gives up the log")
            until(lambda: len(home.scored()) == 10 and home.is_at_rest(), "all work")
            assert "10 scored" in home.maclip("status").stdout
            home.maclip("db", "backup", home.data / "copy.db")
            daemon.stop()
            assert daemon.process.returncode == 0
        assert "paused" not in daemon.log_text()
        assert home.maclip("undo").stdout == "10 sidecars removed.\n"
        home.maclip("db", "restore", home.data / "copy.db", "--yes")
        assert "no problem found" in home.maclip("db", "check").stdout
        assert not list(home.data.glob("library.db-shm"))
    figures(rounds=1, files=10, faults=1, note="a data folder without shared memory")


def test_a_new_library_without_shared_memory_takes_a_rollback_journal(home: Home, figures: Figures) -> None:
    (home.folder / "server").mkdir(mode=0o700)
    (home.folder / "nas").mkdir()
    with mounts.share(home.folder / "server", home.folder / "nas", "-o", "direct_io"):
        path = home.folder / "nas" / "library.db"
        for _ in range(2):
            with contextlib.closing(Library.open(path)) as library, library.reading() as session:
                assert session.connection().exec_driver_sql("pragma journal_mode").scalar() == "delete"
        assert [each.name for each in path.parent.iterdir() if each.name.endswith(("-wal", "-shm"))] == []
    figures(rounds=1, files=0, faults=1)
