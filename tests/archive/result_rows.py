"""The rows of a results folder, as tests compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from tests.homes import Home

COLUMNS = (
    "score", "overall_score", "detail_score", "q_sim", "q_mag", "good", "sharpness", "width",
    "height", "focus", "noise", "reasons", "camera", "taken_at", "metric", "model", "protocol",
)  # fmt: skip
PRECISION = 2e-3  # room for bf16 in other batches; eight photos alone and together were equal (docs/iqa.md)


def rows_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Return all rows of all parts by file name; fail on two rows of one photo."""
    parts = sorted(str(part) for part in folder.glob("generation=*/*.parquet"))
    rows = ds.dataset(parts, format="parquet").to_table().to_pylist()
    found = {row["file_name"]: row for row in rows}
    assert len(found) == len(rows)
    return found


def compare_with_daemon(rows: dict[str, dict[str, Any]], home: Home) -> int:
    """Compare each scored row with `photo_quality`, texts and counts exactly; return how many there are."""
    expected = home.sql(f"select file_name, {', '.join(COLUMNS)} from photo_quality where state = 'scored'")
    scored = {name for name, row in rows.items() if row["state"] == "scored"}
    assert scored == {name for name, *_ in expected}
    for name, *values in expected:
        for column, value in zip(COLUMNS, values, strict=True):
            mine = rows[name][column]
            assert mine == (pytest.approx(value, abs=PRECISION) if isinstance(value, float) else value), (
                column
            )
    return len(expected)
