"""Every question on the page about archives is one that DuckDB answers, from a small results folder."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest
from small_results import failed, scored, write

from maclip_daemon.archive.rows import ROW_SCHEMA

PAGE = (Path(__file__).parents[3] / "docs/archive.md").read_text("utf-8")
VIEW, *QUESTIONS = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    rows = [scored(f"/p/{number}.jpg", number / 10, pixel_hash="jpeg:same") for number in range(10)]
    write(folder, [*rows, failed("/p/x.jpg")])
    return folder


def test_there_are_a_dozen_questions() -> None:
    assert VIEW.startswith("create view photos")
    assert len(QUESTIONS) >= 12


@pytest.mark.parametrize("question", QUESTIONS, ids=[each.split("\n")[0][:40] for each in QUESTIONS])
def test_a_question_is_answered(question: str, out: Path, tmp_path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(VIEW.replace("'OUT/", f"'{out}/"))
        connection.execute(question.replace("'best.csv'", f"'{tmp_path}/best.csv'"))
        if "best.csv" in question:
            assert (tmp_path / "best.csv").read_text().splitlines()[0] == "/p/9.jpg"
        elif "focus >" in question or "iso >=" in question or "true_megapixels <" in question:
            connection.fetchall()  # none of the small photos is so bad
        else:
            assert connection.fetchall()


def test_stars_of_the_page_are_those_of_the_default_shares() -> None:
    from maclip_daemon.settings import RatingSettings

    edges = [sum(RatingSettings().shares[: count + 1]) / 100 for count in range(4)]
    assert [float(edge) for edge in re.findall(r"place < (\d\.\d+)", PAGE)] == edges


def test_every_column_is_on_the_page_or_among_those_of_photo_quality() -> None:
    of_the_library = (Path(__file__).parents[3] / "docs/database.md").read_text("utf-8")
    missing = [name for name in ROW_SCHEMA.names if f"`{name}`" not in PAGE + of_the_library]
    assert missing == []
