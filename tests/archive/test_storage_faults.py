"""Fetching photos from storage that fails: one photo waits or fails, and never with half its bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
import s3fs

from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.archive.stages.fetching import Fetcher
from maclip_daemon.archive.storage import Pauses
from maclip_daemon.errors import FileChanged, NoPermission, PhotoMissing, Poison, Transient
from tests.archive.failing_storage import FailingStorage

PHOTO = bytes(range(256)) * 40_000  # 10 MB
ADDRESS = "s3://studio/a.jpg"
pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture
def files(storage: FailingStorage) -> s3fs.S3FileSystem:
    found = s3fs.S3FileSystem()
    found.pipe_file("studio/a.jpg", PHOTO)
    return found


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(tmp_path, Pauses(12, 0.01), largest_mib=20)


def test_a_storm_of_503_is_waited_out(
    storage: FailingStorage, files: s3fs.S3FileSystem, fetcher: Fetcher
) -> None:
    storage.storm(9)
    copy = fetcher.fetch(PhotoSource(ADDRESS))
    assert copy.path.read_bytes() == PHOTO
    assert copy.source.size == len(PHOTO)
    assert copy.source.etag == files.info("studio/a.jpg")["ETag"].strip('"')
    copy.discard()
    assert not copy.path.exists()


def test_storage_that_stays_away_fails_the_photo_for_now(
    storage: FailingStorage, files: s3fs.S3FileSystem, tmp_path: Path
) -> None:
    storage.storm(10_000)
    with pytest.raises(Transient, match="--retry-failed") as caught:
        Fetcher(tmp_path, Pauses(2, 0.01), largest_mib=20).fetch(PhotoSource(ADDRESS))
    assert caught.value.failure == "cannot be read or written now"
    assert list(tmp_path.iterdir()) == []


def test_a_broken_connection_never_makes_half_a_photo(
    storage: FailingStorage, files: s3fs.S3FileSystem, fetcher: Fetcher
) -> None:
    storage.cut_off("a.jpg", 2)
    assert fetcher.fetch(PhotoSource(ADDRESS)).path.read_bytes() == PHOTO


def test_an_object_that_changes_while_it_is_read_is_read_again(
    storage: FailingStorage, files: s3fs.S3FileSystem, fetcher: Fetcher
) -> None:
    storage.after_reading("a.jpg", lambda: files.pipe_file("studio/a.jpg", PHOTO[::-1]))
    copy = fetcher.fetch(PhotoSource(ADDRESS))
    assert copy.path.read_bytes() == PHOTO[::-1]
    assert copy.source.etag == files.info("studio/a.jpg", refresh=True)["ETag"].strip('"')


def test_an_object_that_never_rests_fails(
    storage: FailingStorage, files: s3fs.S3FileSystem, fetcher: Fetcher
) -> None:
    def change() -> None:
        files.pipe_file("studio/a.jpg", PHOTO[: storage.requests["GET"]])
        storage.after_reading("a.jpg", change)

    storage.after_reading("a.jpg", change)
    with pytest.raises(FileChanged):
        fetcher.fetch(PhotoSource(ADDRESS))


def test_a_missing_a_forbidden_and_a_huge_object_fail_at_once(
    storage: FailingStorage, files: s3fs.S3FileSystem, fetcher: Fetcher, tmp_path: Path
) -> None:
    storage.deny("secret.jpg")
    with pytest.raises(PhotoMissing, match="not there"):
        fetcher.fetch(PhotoSource("s3://studio/none.jpg"))
    with pytest.raises(NoPermission, match="rights"):
        fetcher.fetch(PhotoSource("s3://studio/secret.jpg"))
    with pytest.raises(Poison, match="largest_file_mib"):
        Fetcher(tmp_path, Pauses(1, 0.01), largest_mib=1).fetch(PhotoSource(ADDRESS))
    assert list(tmp_path.iterdir()) == []
