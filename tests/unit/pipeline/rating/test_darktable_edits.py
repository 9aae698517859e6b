"""Edits that exist in darktable's library alone: their photos get no new sidecar."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maclip_daemon.errors import Transient
from maclip_daemon.metadata.records import Prepared, QualityProperties, RatingRequest
from maclip_daemon.pipeline.rating import darktable_edits
from tests.rated_library import FakeWriter, RatedLibrary, sidecar_of

QUALITY = QualityProperties(0.5, 50.0, 3, "maclip", "test", "native", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def darktable(tmp_path: Path) -> Path:
    """darktable's library: edited.jpg has a history of its own, automatic.jpg the one of every import."""
    path = tmp_path / "darktable.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "create table film_rolls (id, folder); create table images (id, film_id, filename);"
            "create table history (imgid);"
            "create table history_hash (imgid, basic_hash, auto_hash, current_hash);"
            "insert into images values (1, 1, 'edited.jpg'), (2, 1, 'automatic.jpg');"
            "insert into history values (1), (2);"
            "insert into history_hash values (1, 'b', 'a', 'edited'), (2, 'b', 'a', 'a');"
        )
        connection.execute("insert into film_rolls values (1, ?)", (str(tmp_path / "photos"),))
        connection.commit()
    return path


def prepared(rated: RatedLibrary, *names: str) -> list[Prepared]:
    """Prepare new sidecars for these photos."""
    results = []
    for name in names:
        rated.add(name)
        result = rated.writer.prepare(RatingRequest(rated.folder / name, QUALITY))
        assert result.status == "prepared"
        results.append(result)
    return results


def test_only_photos_with_edits_in_darktables_library_alone_are_skipped(
    rated: RatedLibrary, darktable: Path
) -> None:
    results = prepared(rated, "edited.jpg", "automatic.jpg", "unknown.jpg")
    kept = darktable_edits.skip_unsaved(results, rated.writer, str(darktable))
    assert [each.status for each in kept if isinstance(each, Prepared)] == ["skipped", "prepared", "prepared"]
    assert isinstance(kept[0], Prepared)
    assert "write sidecar files" in kept[0].reason
    assert kept[1:] == results[1:]
    assert len(list(rated.folder.glob(".maclip-*"))) == 2, "the skipped one's temporary file is gone"


def test_a_sidecar_that_exists_holds_the_edits_already(rated: RatedLibrary, darktable: Path) -> None:
    rated.add("edited.jpg")
    sidecar_of(rated.folder / "edited.jpg").write_bytes(b"darktable's own")
    result = rated.writer.prepare(RatingRequest(rated.folder / "edited.jpg", QUALITY))
    assert darktable_edits.skip_unsaved([result], rated.writer, str(darktable)) == [result]


def test_while_darktables_library_cannot_be_read_no_new_sidecar_is_written(
    rated: RatedLibrary, tmp_path: Path
) -> None:
    (tmp_path / "darktable.db").write_bytes(b"no database" * 100)
    (result,) = darktable_edits.skip_unsaved(
        prepared(rated, "a.jpg"), rated.writer, str(tmp_path / "darktable.db")
    )
    assert isinstance(result, Transient)
    assert list(rated.folder.glob(".maclip-*")) == []


def test_darktables_library_is_not_opened_where_the_setting_is_off_or_nothing_is_new(
    rated: RatedLibrary, tmp_path: Path
) -> None:
    results = prepared(rated, "a.jpg")
    assert darktable_edits.skip_unsaved(results, rated.writer, "off") == results
    failed = [Transient("It could not be written.")]
    assert darktable_edits.skip_unsaved(failed, FakeWriter(), str(tmp_path / "missing.db")) == failed
