"""Edits kept only in darktable's library are found, and no new sidecar overrides them."""

from __future__ import annotations

import os

from tests.homes import Home, make_photos
from tests.photo_managers.applications import Darktable, Screen, need
from tests.photo_managers.conftest import sidecar_of
from tests.photo_managers.test_darktable import HISTORY, write_dng


def test_a_photo_with_edits_only_in_the_library_is_left_alone_and_named(home: Home, screen: Screen) -> None:
    need("darktable")
    photos = make_photos(home.photos, 6)
    edited, linked = photos[0], home.folder / "linked"
    sidecar_of(edited).write_text(HISTORY, "utf-8")
    raw = write_dng(home.photos / "IMG.dng")  # darktable adds a history to every RAW on import
    darktable = Darktable(home.folder, screen, "write_sidecar_files=never")
    try:
        darktable.add(home.photos, 7)
        configuration = home.folder / ".config" / "darktable"
        os.link(darktable.library, configuration / "library.db")  # darktable's default path
        sidecar_of(edited).unlink()
        linked.symlink_to(home.photos)
        # While darktable runs, its library is not changed or locked.
        output = home.maclip("run", "--once", linked).stdout
        assert "1 could not be rated" in output
        assert not sidecar_of(edited).exists()
        assert all(sidecar_of(photo).exists() for photo in (*photos[1:], raw))
        darktable.press_stars(photos[1], 4)
        assert darktable.seen(home.photos)[photos[1].name].rating == 4
        (problem,) = home.json("status", "--json")["rating_problems"]
        assert problem["path"].endswith(edited.name)
        assert "write sidecar files" in problem["reason"]
        assert "write sidecar files" in home.maclip("status").stdout
        # The remedy in the message: darktable writes its sidecar, and our rating goes into it.
        sidecar_of(edited).write_text(HISTORY, "utf-8")
        home.maclip("rate")
        assert "darktable:history_end" in sidecar_of(edited).read_text("utf-8")
        assert "maclip:Stars" in sidecar_of(edited).read_text("utf-8")
        assert home.json("status", "--json")["rating_problems"] == []
        assert darktable.lua("return #darktable.database") == 7
    finally:
        darktable.close()


def test_an_unreadable_library_is_named_and_nothing_is_written_until_it_is_readable(home: Home) -> None:
    library = home.folder / "darktable.db"
    library.write_text("no database")
    make_photos(home.photos, 5)
    once = {"MACLIP_RATING__DARKTABLE_LIBRARY": str(library), "MACLIP_JOBS__MAX_ATTEMPTS": "1"}
    home.maclip("run", "--once", home.photos, expect=None, **once)
    assert not [path for path in home.photos.iterdir() if path.suffix == ".xmp" or path.name.startswith(".")]
    (reason,) = {reason for (reason,) in home.sql("select reason from jobs where kind = 'rate'")}
    assert "rating.darktable_library" in reason
    home.maclip("retry")
    home.maclip("run", "--once", home.photos, **(once | {"MACLIP_RATING__DARKTABLE_LIBRARY": "off"}))
    assert len(list(home.photos.glob("*.xmp"))) == 5
