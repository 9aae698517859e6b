"""A row of an archive's results says what the library would of the photo; its reason names no path."""

from __future__ import annotations

import re

import pyarrow as pa
from small_results import CONFIG, NOW, failed, origin, scored, source

from maclip_daemon.archive.rows import (
    FORMAT,
    FORMAT_KEY,
    ROW_SCHEMA,
    PhotoSource,
    address_of,
    failed_row,
    reason_without_path,
    table_of,
)
from maclip_daemon.errors import ChildTimedOut
from maclip_daemon.library.storage import sql_views, timestamps
from maclip_daemon.photos.shots.shot_info import ShotInfo

# What only a library knows: its calibration, its groups, what people gave, and its own spelling of a path.
OF_A_LIBRARY = {
    "path",
    "percentile",
    "stars",
    "rating_in_file",
    "rating_owner",
    "my_stars",
    "is_picked",
    "burst_id",
    "burst_kind",
    "burst_rank",
    "is_best_of_burst",
}


def test_a_row_has_every_column_of_photo_quality_that_needs_no_library() -> None:
    select = sql_views.QUALITY_ROWS.partition("FROM scores s")[0]
    columns = set(re.findall(r" AS (\w+),?$", select, re.MULTILINE))
    assert len(columns) > 40
    assert columns - OF_A_LIBRARY - set(ROW_SCHEMA.names) == set()


def test_a_scored_row_fits_the_schema_and_says_what_judged_it() -> None:
    table = table_of([scored("s3://bucket/2026/a.jpg", 0.75)])
    assert table.schema.metadata[FORMAT_KEY] == FORMAT
    (row,) = table.to_pylist()
    assert (row["folder"], row["file_name"], row["address_bytes"]) == ("s3://bucket/2026", "a.jpg", None)
    assert (row["metric"], row["model"], row["protocol"]) == (CONFIG.metric, CONFIG.model, CONFIG.protocol)
    assert (row["precision"], row["device"], row["program_version"]) == ("bf16", "cpu", "2.0.0")
    assert (row["state"], row["score"], row["sharpness"], row["edges"]) == ("scored", 0.75, 0.25, None)
    assert (row["camera"], row["lens"], row["iso"]) == ("Canon EOS R6", "RF 50", 400.0)
    assert (row["width"], row["height"], row["taken_at"]) == (6000, 4000, "2026-05-01T10:00:00")
    assert row["scored_at"] == timestamps.text(NOW)
    assert row["true_megapixels"] == 24.0


def test_a_measure_that_is_a_guess_is_null() -> None:
    row = scored("a.jpg")
    assert (row["focus"], row["motion"], row["motion_direction"]) == (1.5, None, None)


def test_every_value_of_a_row_has_a_column() -> None:
    for row in (scored("a.jpg"), failed("a.jpg")):
        assert set(row) - set(ROW_SCHEMA.names) == set()


def test_a_failed_row_has_the_kind_and_a_reason_without_any_path() -> None:
    error = ChildTimedOut("/spool/node/17.jpg: decoding took longer than 60 s.\nIt was stopped.")
    row = failed_row(source("s3://b/a.jpg"), error, origin(), attempts=3, read_from="/spool/node/17.jpg")
    assert (row["state"], row["failure"], row["attempts"]) == ("failed", "takes too long", 3)
    assert row["reason"] == "decoding took longer than 60 s.\\nIt was stopped."
    assert table_of([row]).to_pylist()[0]["score"] is None


def test_a_path_inside_a_reason_is_left_out_too() -> None:
    told = reason_without_path("Cannot copy s3://b/a: b.jpg: it is gone.", "s3://b/a: b.jpg")
    assert told == "Cannot copy the photo: it is gone."


def test_names_that_are_no_utf8_and_names_with_newlines_come_back_exactly() -> None:
    for address in ("/p/caf\udce9.jpg", "/p/two\nlines.jpg", "/p/\\xe9.jpg"):
        (row,) = table_of([scored(address)]).to_pylist()
        row["address"].encode()  # valid UTF-8, as Parquet demands
        assert address_of(row) == address


def test_half_a_character_in_a_cameras_name_does_not_stop_a_part() -> None:
    (row,) = table_of([scored("/a.jpg", shot=ShotInfo(model="X\ud800"))]).to_pylist()
    assert row["camera"] == row["camera_model"] == "X\\ud800"


def test_a_row_with_a_time_without_zone_is_not_mistaken_for_another_hour() -> None:
    assert ROW_SCHEMA.field("mtime").type == pa.timestamp("us", "UTC")
    assert PhotoSource("a").mtime is None
