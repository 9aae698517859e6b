"""Results are read back: the newest generation, the newest row of each photo; damage is one sentence."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_results import NOW, failed, origin, scored, write

from maclip_daemon.archive.results_folder import open_results
from maclip_daemon.errors import EnvironmentUnfit, UsageError


def addresses(folder: Path, generation: int | None = None) -> list[str]:
    with open_results(str(folder)).rows(generation) as rows:
        return [row["address"] for row in rows.ask("SELECT address FROM photos ORDER BY address")]


def test_the_newest_generation_is_read_unless_another_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path, [scored("/a.jpg")], generation=2)
    write(tmp_path, [scored("/old.jpg")], generation=1)
    write(tmp_path, [scored("/b.jpg")], name="part-1.parquet", generation=10)
    assert open_results(str(tmp_path)).newest == 10
    assert addresses(tmp_path) == ["/b.jpg"]
    assert addresses(tmp_path, 1) == ["/old.jpg"]
    with pytest.raises(UsageError, match=r"has no generation 3\. It has these: 1, 2, 10"):
        addresses(tmp_path, 3)


def test_of_several_rows_of_a_photo_the_newest_counts(tmp_path: Path) -> None:
    write(tmp_path, [failed("/a.jpg"), scored("/b.jpg", 0.2)])
    write(tmp_path, [scored("/a.jpg", 0.9, origin=origin(now=NOW + 60))], name="part-1.parquet")
    with open_results(str(tmp_path)).rows() as rows:
        found = rows.ask("SELECT address, state, score FROM photos ORDER BY address")
        assert [tuple(row.values()) for row in found] == [
            ("/a.jpg", "scored", 0.9),
            ("/b.jpg", "scored", 0.2),
        ]
        assert len(list(rows.each("SELECT * FROM results"))) == 3


def test_names_that_differ_only_in_bytes_are_two_photos(tmp_path: Path) -> None:
    write(tmp_path, [scored("/caf\udce9.jpg"), scored("/caf\\xe9.jpg")])
    assert len(addresses(tmp_path)) == 2


def test_unfinished_parts_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, [scored("/a.jpg")])
    for name in (".part-1.parquet", "_part-2.parquet", "part-3.parquet.tmp"):
        (tmp_path / "generation=1" / name).write_bytes(b"half")
    assert addresses(tmp_path) == ["/a.jpg"]


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no folder"):
        open_results(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="holds no results yet"):
        open_results(str(tmp_path))
    with pytest.raises(UsageError, match="is no address"):
        open_results("what://ever")


def test_parquet_of_another_program_is_not_taken_for_results(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(UsageError, match="of another program"):
        open_results(str(tmp_path))
    part = write(tmp_path, [scored("/a.jpg")])
    pq.write_table(pa.table({"address": ["/a.jpg"]}), part)
    with pytest.raises(UsageError, match="another program or another version"):
        addresses(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PAR1 nothing PAR1", None])
def test_a_damaged_part_is_named_with_what_to_do(tmp_path: Path, data: bytes | None) -> None:
    write(tmp_path, [scored("/a.jpg")])
    part = write(tmp_path, [scored(f"/{number}.jpg") for number in range(500)], name="part-1.parquet")
    part.write_bytes(part.read_bytes()[:5000] if data is None else data)
    with pytest.raises(EnvironmentUnfit, match=r"part-1.parquet is damaged.*Move it away") as told:
        addresses(tmp_path)
    assert "\n" not in str(told.value)
    assert str(told.value).count(str(part)) == 1


def test_a_question_of_many_rows_comes_in_steps(tmp_path: Path) -> None:
    write(tmp_path, [scored(f"/{number}.jpg") for number in range(5000)])
    with open_results(str(tmp_path)).rows() as rows:
        assert sum(1 for _ in rows.each("SELECT address FROM photos")) == 5000
