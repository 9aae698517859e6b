"""Sidecars that another program deletes beside a running daemon, and before a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.homes import Home, make_photos, until


def sidecars(home: Home) -> set[str]:
    return {path.name for path in home.photos.glob("*.xmp")}


def test_a_deleted_sidecar_returns_and_undo_removes_it_once(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    home.daemon()
    until(lambda: len(sidecars(home)) == 6 and home.is_at_rest(), "all photos rated")
    all_of_them = sidecars(home)
    for photo in photos[:2]:
        Path(f"{photo}.xmp").unlink()
    until(lambda: sidecars(home) == all_of_them, "the deleted sidecars again")
    assert "deleted 2 sidecars" in home.maclip("status").stdout
    photos[2].unlink()
    Path(f"{photos[2]}.xmp").unlink()
    until(lambda: home.json("status", "--json")["photos"]["missing"] == 1, "the deleted photo noticed")
    undone = home.maclip("undo", expect=None).stdout
    assert "5 sidecars removed" in undone
    assert sidecars(home) == set()
    assert "already" not in undone


@pytest.mark.long_form
def test_rate_writes_deleted_sidecars_again(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    Path(f"{photos[0]}.xmp").unlink()
    assert "1 sidecar that another program deleted" in home.maclip("rate", "--dry-run").stdout
    assert not Path(f"{photos[0]}.xmp").exists()
    assert "1 rated" in home.maclip("rate").stdout
    assert Path(f"{photos[0]}.xmp").exists()
    Path(f"{photos[0]}.xmp").unlink()
    assert "Nothing to do" not in home.maclip("run", "--once", home.photos).stdout
    assert len(sidecars(home)) == 6
