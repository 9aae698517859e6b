"""The matrix of docs/photo-managers.md and its tests agree: each cell has a test, each test a cell."""

from __future__ import annotations

from pathlib import Path

from tests.photo_managers.matrix_table import DARKTABLE, DIGIKAM, LONG, SITUATIONS, cells

TEST = Path(__file__).parents[1] / "photo_managers" / "test_matrix.py"
STORIES = ("darktable_story.py", "digikam_story.py")


def test_each_cell_of_the_page_has_a_test_and_each_test_a_cell() -> None:
    tests = {(row.name, situation) for row in (*DARKTABLE, *DIGIKAM, *LONG) for situation in SITUATIONS}
    assert cells().keys() == tests
    assert "def test_cell(row: Row, situation: str" in TEST.read_text("utf-8")
    for story in STORIES:
        told = TEST.with_name(story).read_text("utf-8")
        assert all(f"def {situation.replace(' ', '_')}(self) -> str:" in told for situation in SITUATIONS)


def test_each_cell_says_what_happens() -> None:
    assert [cell for cell, words in cells().items() if not words] == []
