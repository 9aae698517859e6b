"""A file's chain in the journal: as short as can be, with the same way back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maclip_daemon.library.results import rating_journal, written_ratings
from maclip_daemon.library.results.rating_journal import JournalRow
from maclip_daemon.metadata.records import UndoEntry
from maclip_daemon.metadata.writing import undo_delta, undo_file
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline import journal_compaction
from tests.rated_library import NOW, RatedLibrary


def row(number: int, old: bytes | None, new: bytes, **parts: object) -> JournalRow:
    """Return the entry of a write that made `new` out of `old`; None: out of nothing."""
    delta = UndoDelta(True) if old is None else undo_delta.between(old, new, mode=0o644, mtime_ns=7)
    values: dict[str, object] = {
        "id": number,
        "photo_id": 1,
        "target_path": "/photos/a.jpg.xmp",
        "kind": "sidecar",
        "state": "written",
        "before_hash": None if old is None else blake3.blake3(old).hexdigest(),
        "after_hash": blake3.blake3(new).hexdigest(),
        "restore": delta.encode(),
        "origin_path": None,
        "stars_before": None,
        "stars_written": number % 5 + 1,
        "former_stars": 0,
        "intended_at": f"2026-01-01T00:00:{number:02}Z",
    }
    return JournalRow(**(values | parts))  # type: ignore[arg-type]


def chain(*states: bytes | None) -> list[JournalRow]:
    """Return the entries of writes that made each state out of the one before, newest first."""
    writes = itertools.pairwise(states)
    entries = [row(number, old, new) for number, (old, new) in enumerate(writes, 1) if new is not None]
    return entries[::-1]


def undone(entries: Sequence[JournalRow], path: Path, data: bytes) -> tuple[list[str], bytes | None]:
    """Undo entries of a real file that holds `data`; return the outcomes, and what is left."""
    path.write_bytes(data)
    is_created = any(entry.before_hash is None for entry in entries)
    outcomes = []
    for entry in entries:
        one = UndoEntry(path, entry.before_hash, entry.after_hash, entry.restore, is_created)
        outcomes.append(undo_file.undo(one).status)
        if outcomes[-1] in ("removed", "taken_out", "gone", "changed"):
            break
    return outcomes, path.read_bytes() if path.exists() else None


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=3, max_size=8, unique=True))
def test_successive_writes_are_one_that_leads_back_to_the_first_bytes(states: list[bytes]) -> None:
    (only,) = journal_compaction.reduced(chain(*states))
    assert UndoDelta.decode(only.restore).apply(states[-1]) == states[0]
    assert only.id == len(states) - 1
    assert only.before_hash == blake3.blake3(states[0]).hexdigest()
    assert only.after_hash == blake3.blake3(states[-1]).hexdigest()
    expected = {number % 5 + 1 for number in range(1, len(states) - 1)}
    assert {stars for stars in range(-1, 6) if only.former_stars & written_ratings.bit_of(stars)} == expected


def test_a_sidecar_that_maclip_made_stays_one_that_it_made(tmp_path: Path) -> None:
    entries = chain(None, b"a", b"b", b"c")
    (only,) = journal_compaction.reduced(entries)
    assert only.before_hash is None
    assert undone([only], tmp_path / "a.jpg.xmp", b"c") == (["removed"], None)


def test_where_another_program_wrote_between_the_first_and_the_last_writes_stay() -> None:
    entries = [row(4, b"7", b"8"), row(3, b"5", b"6"), row(2, b"3", b"4"), row(1, b"1", b"2")]
    last, first = journal_compaction.reduced(entries)
    assert (last.id, first.id) == (4, 1)
    assert (last.before_hash, last.restore) == (entries[0].before_hash, entries[0].restore)
    assert first == entries[-1]
    stars = {stars for stars in range(-1, 6) if last.former_stars & written_ratings.bit_of(stars)}
    assert stars == {2 % 5 + 1, 3 % 5 + 1}


def test_what_was_written_before_the_file_was_made_anew_goes() -> None:
    entries = [*chain(None, b"a", b"b"), row(0, b"x", b"y")]
    (only,) = journal_compaction.reduced(entries)
    assert (only.id, only.before_hash) == (2, None)


@pytest.mark.parametrize(
    "parts",
    [
        {"photo_id": 2},
        {"kind": "embed"},
        {"origin_path": "/photos/before.jpg.xmp"},
        {"restore": b"damaged"},
        {"restore": UndoDelta.taking_out().encode()},
    ],
)
def test_writes_that_differ_stay_apart(parts: dict[str, object]) -> None:
    entries = [row(3, b"c", b"d", **parts), row(2, b"b", b"c", **parts), row(1, b"a", b"b")]
    reduced = journal_compaction.reduced(entries)
    assert reduced[-1] == entries[-1]
    assert len(reduced) == (3 if "restore" in parts else 2)


def test_a_write_is_joined_with_the_earlier_ones_when_it_is_confirmed(rated: RatedLibrary) -> None:
    photo = rated.add("a.jpg")
    target = str(rated.folder / "a.jpg.xmp")
    for number, (old, new) in enumerate(itertools.pairwise([b"first", b"one", b"two", b"three"])):
        entry = row(0, old, new)
        with rated.library.writing() as session:
            written = rating_journal.intend(
                session,
                photo,
                target,
                "sidecar",
                before_hash=entry.before_hash,
                after_hash=entry.after_hash,
                restore=entry.restore,
                stars_before=None,
                stars_written=number + 1,
                now=NOW,
            )
            journal_compaction.confirm(session, written, NOW)
    with rated.library.writing() as session:
        (only,) = rating_journal.undo_chain(session, target)
        assert UndoDelta.decode(only.restore).apply(b"three") == b"first"
        assert written_ratings.ratings_written(session, [photo]) == {photo: {1, 2, 3}}
        rating_journal.mark_undone(session, [only.id], NOW)
        assert written_ratings.ratings_written(session, [photo]) == {photo: {1, 2, 3}}


def test_long_chains_of_earlier_versions_are_joined_file_by_file(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_compaction, "FILES_TOGETHER", 3)
    states = [b"first", *(b"write %d" % number for number in range(20))]
    for photo in (rated.add(f"{number}.jpg") for number in range(8)):
        with rated.library.writing() as session:
            for old, new in itertools.pairwise(states):
                entry = row(0, old, new)
                written = rating_journal.intend(
                    session,
                    photo,
                    f"{rated.folder}/{photo}.jpg.xmp",
                    "sidecar",
                    before_hash=entry.before_hash,
                    after_hash=entry.after_hash,
                    restore=entry.restore,
                    stars_before=None,
                    stars_written=3,
                    now=NOW,
                )
                rating_journal.confirm(session, written, NOW)
    for state in ("undone", "abandoned"):
        rated.write(
            "insert into rating_journal (photo_id, target_path, kind, state, after_hash, stars_written,"
            f" intended_at) select photo_id, target_path, kind, '{state}', after_hash || '{state}', 5,"
            " intended_at from rating_journal where state = 'written'"
        )
    journal_compaction.compact_all(rated.library, lambda: False)
    counts = rated.rows("select state, count(*), count(distinct target_path) from rating_journal group by 1")
    assert counts == [("abandoned", 8, 8), ("undone", 8, 8), ("written", 8, 8)]
    with rated.library.reading() as session:
        (only,) = rating_journal.undo_chain(session, f"{rated.folder}/8.jpg.xmp")
        assert UndoDelta.decode(only.restore).apply(states[-1]) == states[0]
        assert written_ratings.ratings_written(session, [8]) == {8: {3, 5}}
