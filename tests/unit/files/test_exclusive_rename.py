"""A new name is given once, on every kind of file system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maclip_daemon.files import exclusive_rename


def refuse(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["hard links", "rename without replacing", "claimed names"])
def _file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "hard links":  # as on FAT and exFAT
        monkeypatch.setattr(os, "link", refuse)
    if request.param == "claimed names":  # as on some FUSE shares
        monkeypatch.setattr(exclusive_rename, "_NOREPLACE", 1 << 20)  # no such flag: EINVAL


@pytest.mark.usefixtures("_file_system")
def test_a_new_file_never_replaces_one_that_appeared_meanwhile(tmp_path: Path) -> None:
    temporary, target = tmp_path / "temporary", tmp_path / "a.xmp"
    temporary.write_bytes(b"ours")
    target.write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        exclusive_rename.create_exclusively(temporary, target)
    assert target.read_bytes() == b"theirs"
    assert temporary.read_bytes() == b"ours"
    target.unlink()
    exclusive_rename.create_exclusively(temporary, target)
    assert target.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [target]


def test_without_hard_links_no_name_is_ever_claimed_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "open", refuse)
    (tmp_path / "temporary").write_bytes(b"ours")
    exclusive_rename.create_exclusively(tmp_path / "temporary", tmp_path / "a.xmp")
    assert (tmp_path / "a.xmp").read_bytes() == b"ours"


def test_only_an_empty_file_that_is_older_than_a_minute_is_removed_as_a_claim(tmp_path: Path) -> None:
    target = tmp_path / "a.xmp"
    assert exclusive_rename.remove_claim(target, 0.0)
    target.touch()
    changed_at = target.stat().st_ctime
    assert not exclusive_rename.remove_claim(target, changed_at + 59)
    assert target.exists()
    assert exclusive_rename.remove_claim(target, changed_at + 61)
    assert not target.exists()
    target.write_text("<x/>")
    assert exclusive_rename.remove_claim(target, changed_at + 1000)
    assert target.read_text() == "<x/>"
