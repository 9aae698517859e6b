"""A library has an id of its own, from its first opening on, in its backups too."""

import re
from pathlib import Path

from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.library_identity import LibraryIds, library_ids


def ids_of(path: Path) -> LibraryIds:
    with Library.open(path) as library, library.reading() as session:
        return library_ids(session)


def test_each_new_library_has_another_id_of_eight_hex_digits(tmp_path: Path) -> None:
    ids = [ids_of(tmp_path / name / "library.db") for name in ("a", "b")]
    assert all(re.fullmatch("[0-9a-f]{8}", each.own) for each in ids)
    assert ids[0].own != ids[1].own
    assert all(each.former == frozenset() for each in ids)


def test_the_id_stays_when_the_library_is_opened_again_and_in_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "data" / "library.db"
    first = ids_of(path)
    with Library.open(path) as library:
        library.backup(tmp_path / "backup.db")
    assert ids_of(path) == first
    assert ids_of(tmp_path / "backup.db") == first


def test_another_library_is_one_that_this_one_did_not_replace() -> None:
    ids = LibraryIds("0a0a0a0a", frozenset({"0b0b0b0b"}))
    assert ids.is_other("0c0c0c0c")
    assert not any(ids.is_other(each) for each in ("0a0a0a0a", "0b0b0b0b", None))
