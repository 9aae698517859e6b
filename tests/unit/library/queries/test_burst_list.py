"""The groups of a folder are the same whether its photos are looked up or all groups are asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.library.queries import burst_list
from maclip_daemon.library.storage.connections import driver_of
from maclip_daemon.library.storage.database import Library

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def grouped(tmp_path: Path) -> Library:
    """Return a library of six groups of three photos, in three folders."""
    library = Library.open(tmp_path / "library.db")
    with library.writing() as session:
        driver = driver_of(session.connection())
        driver.execute("INSERT INTO roots (id, path, added_at) VALUES (1, '/p', ?)", (AT,))
        for folder in range(3):
            driver.execute("INSERT INTO folders VALUES (?, 1, ?)", (folder + 1, f"/p/{folder}"))
        for number in range(18):
            group = number // 3 + 1
            if number % 3 == 0:
                driver.execute(
                    "INSERT INTO bursts (id, kind, members, first_moment, last_moment)"
                    " VALUES (?, 'burst', 3, ?, ?)",
                    (group, group * 1000, group * 1000 + 2),
                )
            driver.execute(
                "INSERT INTO photos (id, folder_id, file_name, device, inode, size, mtime_ns, state,"
                " first_seen_at) VALUES (?, ?, ?, 1, ?, 1, 1, 'scored', ?)",
                (number + 1, group % 3 + 1, f"{number:02}.jpg", number, AT),
            )
            driver.execute(
                "INSERT INTO burst_frames (photo_id, series, moment, name_order, burst_id, burst_rank)"
                " VALUES (?, 1, ?, ?, ?, ?)",
                (number + 1, group * 1000 + number % 3, f"{number:02}", group, number % 3 + 1),
            )
    return library


@pytest.mark.parametrize("few", [0, 20_000], ids=["groups asked", "photos looked up"])
def test_the_groups_of_a_folder_come_latest_first_a_page_at_a_time(
    grouped: Library, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(burst_list, "FEW", few)
    with grouped, grouped.snapshot() as snapshot:

        def numbers(under: str | None, limit: int | None = None, after: int = 0) -> list[int]:
            found = burst_list.bursts(snapshot, under, limit=limit, after=after)
            return [each.burst_id for each in found]

        assert numbers(None) == [6, 5, 4, 3, 2, 1]
        assert numbers("/p/1") == [4, 1]
        assert numbers("/p") == [6, 5, 4, 3, 2, 1]
        assert numbers("/p", limit=2, after=1) == [5, 4]
        assert numbers("/q") == []


def test_a_page_of_groups_is_read_in_the_order_of_an_index(grouped: Library) -> None:
    with grouped, grouped.snapshot() as snapshot:
        statements: list[str] = []
        snapshot.set_trace_callback(statements.append)
        list(burst_list.bursts(snapshot, limit=2))
        snapshot.set_trace_callback(None)
        (asked,) = [each for each in statements if "LIMIT" in each]
        steps = [row[3] for row in snapshot.execute(f"EXPLAIN QUERY PLAN {asked}")]
    assert steps[0] == "SCAN b USING INDEX bursts_first_moment"
    assert not any(step.startswith("SCAN") or "TEMP B-TREE" in step for step in steps[1:])
