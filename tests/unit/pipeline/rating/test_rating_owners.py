"""Whose rating each photo has, as darktable's panel asks it."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.errors import Transient
from maclip_daemon.pipeline.rating import rating_owners
from tests.darktable_home import DarktableHome
from tests.rated_library import RatedLibrary


def whose(
    rated: RatedLibrary, under: str | None = None
) -> dict[str, tuple[str, int | None, tuple[int, ...]]]:
    with rated.library.snapshot() as snapshot:
        found = rating_owners.owners(snapshot, ("auto",), under)
    return {Path(each.path).name: (each.rating_owner, each.rating, each.written) for each in found}


def test_a_persons_stars_in_darktable_count_more_than_what_the_library_recorded(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    for name in ("ours.jpg", "older.jpg", "first.jpg", "theirs.jpg", "file.jpg", "new/none.jpg"):
        photo_id = rated.add(name)
        if name in ("file.jpg", "new/none.jpg"):
            continue
        rated.write(f"update photos set rating_owner = 'maclip', rating_in_file = 4 where id = {photo_id}")
        for stars in (2, 4):
            rated.write(
                "insert into rating_journal (photo_id, target_path, kind, state, after_hash, stars_written,"
                f" intended_at) values ({photo_id}, '/a', 'sidecar', 'written', 'x', {stars}, '2026')"
            )
    rated.write("update photos set rating_owner = 'person', rating_in_file = 3 where file_name = 'file.jpg'")
    for name, stars in (
        ("ours.jpg", 4),
        ("older.jpg", 2),
        ("first.jpg", 1),
        ("theirs.jpg", 5),
        ("file.jpg", 2),
    ):
        darktable.add(name, stars)
    assert whose(rated) == {
        "ours.jpg": ("maclip", 4, (2, 4)),
        "older.jpg": ("maclip", 4, (2, 4)),
        "first.jpg": ("maclip", 4, (2, 4)),
        "theirs.jpg": ("person", 5, (2, 4)),
        "file.jpg": ("person", 3, ()),
        "none.jpg": ("none", None, ()),
    }
    assert list(whose(rated, str(rated.folder / "new"))) == ["none.jpg"]


def test_a_library_that_cannot_be_read_is_no_answer(rated: RatedLibrary, darktable: DarktableHome) -> None:
    (darktable.folder / "library.db").write_bytes(b"no database" * 100)
    rated.add("a.jpg")
    with pytest.raises(Transient, match="cannot be read"):
        whose(rated)
