"""What is left of an archive: the listing without what is written."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from maclip_daemon.archive.planning.plan_chunks import read_chunk
from maclip_daemon.archive.planning.work_plan import chunk_rows, planner
from maclip_daemon.archive.rows import FAILED, SCORED, PhotoSource, table_of
from maclip_daemon.archive.storage import Pauses, Place

PAUSES = Pauses(1, 0.01)
MONDAY, TUESDAY = datetime(2026, 5, 4, tzinfo=UTC), datetime(2026, 5, 5, tzinfo=UTC)


def written(folder: Path, *rows: dict[str, object]) -> tuple[str, ...]:
    part = folder / "scored-1.parquet"
    pq.write_table(table_of(rows), part)
    return (str(part),)


def left(
    folder: Path, photos: list[PhotoSource], parts: tuple[str, ...], *, failed_too: bool = True, rows: int = 2
) -> list[PhotoSource]:
    place = Place(LocalFileSystem(), str(folder / "plan"))
    with planner(128, PAUSES) as made:
        listed = made.list(photos)
        count = made.subtract(place, parts, failed_too=failed_too)
        chunks = list(made.write(place, rows))
    found = [read_chunk(plan, group, PAUSES) for plan, group in chunks]
    assert all(len(chunk) <= rows for chunk in found)
    assert listed == len({photo.address for photo in photos})
    assert sum(map(len, found)) == count
    return [photo for chunk in found for photo in chunk]


def test_everything_is_left_of_a_new_archive_once_and_in_order(tmp_path: Path) -> None:
    photos = [PhotoSource(f"s3://b/{number}.jpg", number, MONDAY, f"e{number}") for number in (5, 1, 3)]
    odd = PhotoSource("/new\nline/\udcff.jpg")
    assert left(tmp_path, [*photos, odd, photos[0]], ()) == [*photos, odd]


def test_what_is_written_is_done_unless_it_changed(tmp_path: Path) -> None:
    parts = written(
        tmp_path,
        {"address": "/same.jpg", "state": SCORED, "size": 1, "mtime": MONDAY},
        {"address": "/touched.jpg", "state": SCORED, "size": 1, "mtime": MONDAY},
        {"address": "s3://b/same.jpg", "state": SCORED, "size": 1, "mtime": MONDAY, "etag": "e"},
        {"address": "/odd/\\xff.jpg", "address_bytes": b"/odd/\xff.jpg", "state": SCORED, "size": 1},
    )
    photos = [
        PhotoSource("/same.jpg", 1, MONDAY),
        PhotoSource("/touched.jpg", 1, TUESDAY),
        PhotoSource("s3://b/same.jpg", 1, TUESDAY, "e"),  # uploaded again with the same content
        PhotoSource("/odd/\udcff.jpg", 1, MONDAY),
        PhotoSource("/new.jpg", 1, MONDAY),
    ]
    assert left(tmp_path, photos, parts) == [photos[1], photos[4]]


def test_a_list_that_knows_no_versions_takes_a_row_for_done(tmp_path: Path) -> None:
    parts = written(tmp_path, {"address": "/a.jpg", "state": SCORED, "size": 1, "mtime": MONDAY})
    assert left(tmp_path, [PhotoSource("/a.jpg")], parts) == []


@pytest.mark.parametrize(("failed_too", "expected"), [(True, 0), (False, 1)])
def test_failed_photos_are_tried_again_only_when_asked_for(
    tmp_path: Path, failed_too: bool, expected: int
) -> None:
    parts = written(tmp_path, {"address": "/a.jpg", "state": FAILED})
    assert len(left(tmp_path, [PhotoSource("/a.jpg")], parts, failed_too=failed_too)) == expected


def test_large_plans_are_cut_into_files_of_whole_chunks(tmp_path: Path) -> None:
    photos = [PhotoSource(f"/{number:05d}.jpg") for number in range(20_000)]
    assert left(tmp_path, photos, (), rows=256) == photos
    assert len(list((tmp_path / "plan").iterdir())) == 3


@pytest.mark.parametrize(
    ("left", "cores", "expected"),
    [
        (3, 2, 2),  # both cores have one
        (100, 2, 16),  # a batch of the model
        (1000, 2, 125),  # four chunks a core
        (10**6, 2, 256),  # the most that is judged again
        (10**7, 2, 611),  # but no more chunks than the driver has room for
    ],
)
def test_a_chunk_has_work_for_a_decoder_and_room_in_the_driver(left: int, cores: int, expected: int) -> None:
    assert chunk_rows(left, cores, batch=16, most=256) == expected


def test_no_row_of_a_run_is_older_than_what_is_written(tmp_path: Path) -> None:
    """A machine's clock may have been ahead: its row would count for ever after the photo changed."""
    parts = written(
        tmp_path,
        {"address": "/a.jpg", "state": SCORED, "scored_at": "2030-01-01T00:00:00.000Z"},
        {"address": "/b.jpg", "state": FAILED, "scored_at": "2031-01-01T00:00:00.250Z"},
    )
    with planner(128, PAUSES) as made:
        made.list([PhotoSource("/a.jpg", 2, TUESDAY)])
        made.subtract(Place(LocalFileSystem(), str(tmp_path)), parts, failed_too=False)
        expected = datetime(2031, 1, 1, 0, 0, 0, 251_000, UTC).timestamp()
        assert made.next_moment() == pytest.approx(expected, abs=1e-6)
    with planner(128, PAUSES) as made:
        made.list([PhotoSource("/a.jpg", 2, TUESDAY)])
        made.subtract(Place(LocalFileSystem(), str(tmp_path)), (), failed_too=False)
        assert made.next_moment() == 0.0
