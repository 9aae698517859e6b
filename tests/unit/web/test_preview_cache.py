"""Previews on disk: bounded, and never worth an error."""

from __future__ import annotations

import os
from pathlib import Path

from maclip_daemon.web.preview_cache import PreviewCache

END = b"\xff\xd9"


def test_the_least_recently_seen_pictures_leave_first(tmp_path: Path) -> None:
    cache = PreviewCache(tmp_path / "previews", 100)
    for place, key in enumerate("abc", start=1):
        before = set(tmp_path.rglob("*.jpg"))
        cache.put(key, key.encode() * 30 + END)
        (added,) = set(tmp_path.rglob("*.jpg")) - before
        os.utime(added, (place, place))
    assert cache.get("a") is not None  # now it is the newest
    cache.put("d", b"d" * 30 + END)
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "d"]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jpg")) <= 100


def test_pictures_of_a_clock_that_was_ahead_do_not_fill_the_cache_for_ever(tmp_path: Path) -> None:
    cache = PreviewCache(tmp_path / "previews", 100)
    for key in "abc":
        cache.put(key, key.encode() * 30 + END)
    for path in tmp_path.rglob("*.jpg"):
        os.utime(path, (4e9, 4e9))
    cache.put("d", b"d" * 30 + END)
    assert cache.get("d") is not None


def test_a_damaged_or_unwritable_cache_costs_a_picture_and_no_more(tmp_path: Path) -> None:
    cache = PreviewCache(tmp_path / "previews", 100)
    cache.put("a", b"picture" + END)
    (path,) = tmp_path.rglob("*.jpg")
    path.write_bytes(b"pict")
    assert cache.get("a") is None
    blocked = PreviewCache(tmp_path / "file", 100)
    (tmp_path / "file").write_text("in the way")
    blocked.put("a", b"picture" + END)
    assert blocked.get("a") is None
