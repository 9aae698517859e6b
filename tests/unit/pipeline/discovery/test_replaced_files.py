"""Files of the same size and time whose content is another."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from test_reconciliation import Scans

from maclip_daemon.folders import file_systems
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import root_records
from maclip_daemon.pipeline.discovery import reconciliation, replaced_files
from tests.rated_library import RatedLibrary

LONG_AGO = 10**9


@pytest.fixture
def scans(rated: RatedLibrary) -> Scans:
    return Scans(rated)


@pytest.fixture(params=["a disk with inodes", "FAT"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "FAT":
        monkeypatch.setattr(replaced_files, "file_system_of", lambda _: "vfat")
    return str(request.param)


def burst(scans: Scans, *names: str) -> list[Path]:
    """Make scored photos of one size and time."""
    paths = [scans.rated.folder / name for name in names]
    for path in paths:
        scans.rated.add(path.name)
        os.utime(path, (LONG_AGO, LONG_AGO))
    scans.rated.write(f"update photos set size = 5, mtime_ns = {LONG_AGO * 10**9}, ctime_ns = null")
    report = scans.scan()
    assert (report.checked, report.queued) == (0, 0), "a library without these times is not read again"
    return paths


def queued(scans: Scans) -> set[str]:
    return {name for name, kind, _, _ in scans.rated.jobs() if kind == "score"}


@pytest.mark.usefixtures("file_system")
def test_photos_of_a_burst_that_changed_names_are_read_again(scans: Scans) -> None:
    one, other, _ = burst(scans, "1.tif", "2.tif", "3.tif")
    one.rename(one.with_name("t"))
    other.rename(one)
    one.with_name("t").rename(other)
    report = scans.scan()
    assert (report.checked, report.queued, report.moved, report.missing) == (2, 0, 0, 0)
    assert queued(scans) == {"1.tif", "2.tif"}
    assert set(scans.photos().values()) == {"scored"}, "they keep their scores until then"
    assert scans.scan().checked == 0


def test_a_photo_that_was_overwritten_with_its_time_kept_is_read_again(scans: Scans) -> None:
    one, other = burst(scans, "1.tif", "2.tif")
    shutil.copy2(other, one)
    assert scans.scan().checked == 1
    assert queued(scans) == {"1.tif"}


def test_on_fat_a_reported_write_counts_whatever_the_times_say(
    scans: Scans, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = burst(scans, "1.tif")
    found = found_file(str(path))
    assert found is not None
    with scans.rated.library.writing() as session:
        root = root_records.root_for(session, str(scans.rated.folder), scans.rated.now)
    arguments = (scans.rated.library, scans.rated.state, root, [found])
    assert reconciliation.record(*arguments, were_written=True)[0].change == "same"
    monkeypatch.setattr(replaced_files, "file_system_of", lambda _: "vfat")
    assert reconciliation.record(*arguments)[0].change == "same"
    assert reconciliation.record(*arguments, were_written=True)[0].change == "doubtful"


def test_a_new_photo_of_a_burst_with_the_number_of_a_deleted_one_is_read_again(scans: Scans) -> None:
    one, other = burst(scans, "1.tif", "2.tif")
    kept = one.stat()
    one.write_bytes(other.read_bytes())  # the same number, as when it had been given out again
    os.utime(one, (LONG_AGO, LONG_AGO))
    one.rename(one.with_name("3.tif"))
    assert one.with_name("3.tif").stat().st_ino == kept.st_ino
    assert scans.scan().moved == 1
    assert queued(scans) == {"3.tif"}


@pytest.mark.parametrize(
    ("file_system", "keeps"),
    [
        ("ext4", True),
        ("btrfs", True),
        ("nfs4", True),
        ("exfat", False),
        ("vfat", False),
        ("fuse.sshfs", False),
    ],
)
def test_inode_numbers_count_where_they_are_kept(file_system: str, keeps: bool) -> None:
    assert file_systems.keeps_inodes(file_system) is keeps
