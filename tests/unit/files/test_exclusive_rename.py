"""A new name is given once, on every kind of file system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maclip_daemon.files import exclusive_rename
from maclip_daemon.files.open_folder import OpenFolder


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.fixture(params=["rename without replacing", "hard links", "claimed names"])
def _file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "rename without replacing":  # as on NFS
        monkeypatch.setattr(exclusive_rename, "_NOREPLACE", 1 << 20)  # no such flag: EINVAL
    if request.param == "claimed names":  # as on some FUSE shares
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("_file_system")
def test_a_new_file_never_replaces_one_that_appeared_meanwhile(tmp_path: Path) -> None:
    temporary, target = tmp_path / "temporary", tmp_path / "a.xmp"
    temporary.write_bytes(b"ours")
    target.write_bytes(b"theirs")
    with pytest.raises(FileExistsError), OpenFolder(tmp_path) as folder:
        exclusive_rename.create_exclusively(folder, temporary.name, target.name)
    assert target.read_bytes() == b"theirs"
    assert temporary.read_bytes() == b"ours"
    target.unlink()
    with OpenFolder(tmp_path) as folder:
        exclusive_rename.create_exclusively(folder, temporary.name, target.name)
    assert target.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [target]


def test_without_hard_links_no_name_is_ever_claimed_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "temporary").write_bytes(b"ours")
    with OpenFolder(tmp_path) as folder:
        monkeypatch.setattr(os, "open", refuse)
        exclusive_rename.create_exclusively(folder, "temporary", "a.xmp")
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
    target.touch()
    assert exclusive_rename.remove_claim(target, changed_at - 86_400), "the clock was set back since"
    assert not target.exists()
    target.write_text("<x/>")
    assert exclusive_rename.remove_claim(target, changed_at + 1000)
    assert target.read_text() == "<x/>"
