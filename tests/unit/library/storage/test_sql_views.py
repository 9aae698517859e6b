"""The views people query: their columns, their speed, and the page that describes them."""

import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from found_file import NOW
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import missing_photos
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.schema import STATISTICS

PAGE = (Path(__file__).parents[4] / "docs" / "database.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
AddPhoto = Callable[..., int]

PHOTO_QUALITY = [
    "path",
    "folder",
    "file_name",
    "score",
    "percentile",
    "stars",
    "q_sim",
    "q_mag",
    "good",
    "sharpness",
    "edges",
    "resolution",
    "noise_free",
    "view_spread",
    "metric",
    "model",
    "protocol",
    "width",
    "height",
    "taken_at",
    "scored_at",
    "state",
    "rating_in_file",
    "rating_owner",
    "my_stars",
    "is_picked",
    "camera",
    "lens",
    "burst_id",
    "burst_kind",
    "burst_rank",
    "is_best_of_burst",
    "overall_score",
    "detail_score",
    "focus",
    "motion",
    "motion_direction",
    "noise",
    "clipped_highlights",
    "clipped_shadows",
    "contrast",
    "jpeg_damage",
    "true_megapixels",
    "reasons",
]
PHOTO_BURSTS = [
    "burst_id",
    "kind",
    "members",
    "best",
    "margin",
    "too_close_to_call",
    "first_at",
    "last_at",
]


def columns(snapshot: sqlite3.Connection, view: str) -> list[str]:
    return [row[0] for row in snapshot.execute(f"SELECT * FROM {view} LIMIT 0").description]


def test_the_view_has_exactly_the_promised_columns(library: Library) -> None:
    with library.snapshot() as snapshot:
        assert columns(snapshot, "photo_quality") == PHOTO_QUALITY
        assert columns(snapshot, "photo_bursts") == PHOTO_BURSTS
        assert columns(snapshot, "photo_failures") == ["path", "reason", "attempts", "failed_at", "kind"]


@pytest.mark.parametrize("view", ["photo_quality", "photo_bursts", "photo_failures"])
def test_every_column_is_described_on_the_page(library: Library, view: str) -> None:
    section = PAGE.split(f"\n## `{view}`\n")[1].split("\n## ")[0]
    with library.snapshot() as snapshot:
        assert re.findall(r"^\| `(\w+)` \| \S", section, flags=re.MULTILINE) == columns(snapshot, view)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_on_the_page_runs(library: Library, example: str) -> None:
    with library.snapshot() as snapshot:
        snapshot.execute(example).fetchall()


def test_there_are_a_dozen_examples() -> None:
    assert len(EXAMPLES) >= 12


def plan(snapshot: sqlite3.Connection, query: str) -> str:
    return "\n".join(row[3] for row in snapshot.execute(f"EXPLAIN QUERY PLAN {query}"))


@pytest.fixture
def many(library: Library) -> Library:
    """Twenty thousand scored photos in forty folders."""
    with library.writing() as session:
        config = scores.scoring_config_for(session, "maclip", "builtin", "spaq448")
        scores.activate(session, config.id)
        driver = session.connection().connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("INSERT INTO roots (path, added_at) VALUES ('/p', '')")
        driver.executemany(
            "INSERT INTO folders (root_id, path) VALUES (1, ?)", [(f"/p/{n:02d}",) for n in range(40)]
        )
        driver.executemany(
            "INSERT INTO photos (folder_id, file_name, device, inode, size, mtime_ns, state, first_seen_at)"
            " VALUES (?, ?, 1, ?, 1, 1, 'scored', '')",
            [(number % 40 + 1, f"{number}.jpg", number) for number in range(20_000)],
        )
        driver.executemany(
            "INSERT INTO scores (photo_id, folder_id, scoring_config_id, score, views, scored_at)"
            " VALUES (?, ?, 1, ?, 1, '')",
            [(number + 1, number % 40 + 1, number * 7919 % 20_000 / 20_000) for number in range(20_000)],
        )
        rule = calibration.StarRule((10.0, 20.0, 40.0, 20.0, 10.0), 30)
        calibration.renew(session, config.id, rule, NOW)
    return library


def test_the_worst_fifty_are_read_in_the_order_of_the_index(many: Library) -> None:
    query = "SELECT * FROM photo_quality ORDER BY score LIMIT 50"
    with many.snapshot() as snapshot:
        steps = plan(snapshot, query)
        assert "SEARCH s USING INDEX scores_scoring_config_id_score_photo_id" in steps
        assert "TEMP B-TREE" not in steps
        assert "SCAN" not in steps
        rows = snapshot.execute(query).fetchall()
    assert [row[3] for row in rows] == [number / 20_000 for number in range(50)]


def test_a_folders_worst_are_read_from_its_own_index(many: Library) -> None:
    with many.snapshot() as snapshot:
        steps = plan(snapshot, "SELECT * FROM photo_quality WHERE folder = '/p/07' ORDER BY score LIMIT 50")
        assert "scores_scoring_config_id_folder_id_score (scoring_config_id=? AND folder_id=?)" in steps
        assert "TEMP B-TREE" not in steps
        below = plan(snapshot, "SELECT * FROM photo_quality WHERE folder GLOB '/p/0*'")
        assert "(path>? AND path<?)" in below
        assert "scores_scoring_config_id_folder_id_score (scoring_config_id=? AND folder_id=?)" in below


def test_the_planner_is_told_only_of_what_exists(library: Library) -> None:
    with library.snapshot() as snapshot:
        there = set(snapshot.execute("SELECT tbl, idx FROM sqlite_stat1"))
        known = set(snapshot.execute("SELECT tbl_name, name FROM sqlite_master WHERE type = 'index'"))
    assert there == {(table, index) for table, index, _ in STATISTICS}
    assert there - known == {("quantiles", "quantiles")}  # its rows are kept in its key


def test_names_that_are_not_utf8_come_out_as_their_bytes(
    session: Session, add_photo: AddPhoto, library: Library
) -> None:
    add_photo("/photos/\udcff/a.jpg", 0.5)
    add_photo("/photos/b\udcfe.jpg", 0.6)
    add_photo("/c.jpg", 0.7)
    session.commit()
    with library.snapshot() as snapshot:
        rows = snapshot.execute("SELECT path FROM photo_quality ORDER BY score").fetchall()
    assert rows == [(b"/photos/\xff/a.jpg",), (b"/photos/b\xfe.jpg",), ("/c.jpg",)]


def test_failures_are_shown_until_they_are_tried_again_or_gone(
    session: Session, add_photo: AddPhoto, library: Library
) -> None:
    ids = [add_photo(f"/photos/{name}.jpg") for name in "abc"]
    jobs.enqueue(session, ids, "score", NOW)
    for job in leases.lease(session, "score", "w", NOW, 9, 9):
        jobs.fail(session, job, "w", "cut off", NOW, poison=True, policy=jobs.RetryPolicy())
    jobs.retry_dead(session, NOW, "/photos/a.jpg")
    missing_photos.mark_missing(session, [ids[1]], NOW)
    session.commit()
    with library.snapshot() as snapshot:
        rows = snapshot.execute("SELECT path, reason, attempts FROM photo_failures").fetchall()
    assert rows == [("/photos/c.jpg", "cut off", 1)]
