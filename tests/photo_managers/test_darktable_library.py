"""Edits kept only in darktable's library are found, and no new sidecar overrides them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.homes import Home, contents, make_photos
from tests.photo_managers.applications import Installation, Screen
from tests.photo_managers.conftest import sidecar_of
from tests.photo_managers.darktable_application import Darktable
from tests.photo_managers.test_darktable import HISTORY, write_dng

NO_FIRST_STAR = "ui_last/import_initial_rating=0"


def test_a_photo_with_edits_only_in_the_library_is_left_alone_and_named(
    home: Home, screen: Screen, installation: Installation
) -> None:
    installation.require("darktable")
    photos = make_photos(home.photos, 6)
    edited, linked = photos[0], home.folder / "linked"
    sidecar_of(edited).write_text(HISTORY, "utf-8")
    raw = write_dng(home.photos / "IMG.dng")  # darktable adds a history to every RAW on import
    darktable = Darktable(
        home.folder, screen, "write_sidecar_files=never", NO_FIRST_STAR, installation=installation
    )
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


def test_stars_that_only_the_library_holds_are_a_persons(
    home: Home, screen: Screen, installation: Installation
) -> None:
    """Stars without a sidecar: darktable 5 with *after edit*, every darktable with *never*."""
    installation.require("darktable")
    photos = make_photos(home.photos, 6)
    darktable = Darktable(
        home.folder, screen, "write_sidecar_files=never", NO_FIRST_STAR, installation=installation
    )
    try:
        darktable.add(home.photos, 6)
        in_workspace(home, darktable)
        darktable.press_stars(photos[0], 4)
        darktable.press_stars(photos[1], -1)
        assert (
            "4 rated, 2 left alone with your own rating" in home.maclip("run", "--once", home.photos).stdout
        )
        assert persons(home) == {photos[0].name: 4, photos[1].name: -1}
        assert {path.stem for path in home.photos.glob("*.xmp")} == {photo.name for photo in photos[2:]}
        # A star that is pressed over maclip's stands, though no file holds it.
        darktable.press_stars(photos[2], 5 if stars_of(home, photos[2]) != 5 else 4)
        before = sidecar_of(photos[2]).read_bytes()
        home.maclip("rate", MACLIP_RATING__SHARES="[50, 0, 0, 0, 50]")
        assert sidecar_of(photos[2]).read_bytes() == before
        whose = {row["path"]: row["rating_owner"] for row in json_lines(home, "ratings", "--json")}
        assert [whose[str(photo)] for photo in photos[:4]] == ["person", "person", "person", "maclip"]
    finally:
        darktable.close()


def test_darktables_first_star_in_its_library_is_nobodys_until_the_person_says_so(
    home: Home, screen: Screen, installation: Installation
) -> None:
    installation.require("darktable")
    photos = make_photos(home.photos, 6)
    darktable = Darktable(home.folder, screen, "write_sidecar_files=never", installation=installation)
    try:
        darktable.add(home.photos, 6)
        in_workspace(home, darktable)
        darktable.lua("darktable.control.sleep(2500)")
        darktable.press_stars(photos[0], 4)
        darktable.press_stars(photos[1], 1)
        # darktable 5 records which photos nobody touched since their import.
        unsure = photos[1:2] if installation.is_today else photos[1:]
        output = home.maclip("run", "--once", home.photos).stdout
        assert "maclip rate --over-first-stars" in output
        assert f"{len(unsure)} photo" in output
        assert len(list(home.photos.glob("*.xmp"))) == 5 - len(unsure)
        assert "over-first-stars" in home.maclip("status").stdout
        listed = home.maclip("rate", "--over-first-stars", "--dry-run", home.photos).stdout.splitlines()
        assert listed == [str(photo) for photo in unsure]
        assert len(list(home.photos.glob("*.xmp"))) == 5 - len(unsure)
        assert f"{len(unsure)} rated" in home.maclip("rate", "--over-first-stars", home.photos).stdout
        assert {path.stem for path in home.photos.glob("*.xmp")} == {photo.name for photo in photos[1:]}
        assert "over-first-stars" not in home.maclip("status").stdout
        home.maclip("undo")
        assert not list(home.photos.glob("*.xmp"))
    finally:
        darktable.close()


def in_workspace(home: Home, darktable: Darktable) -> None:
    """Show darktable's library to maclip as that of a workspace."""
    os.link(darktable.library, home.folder / ".config" / "darktable" / "library-wedding.db")


def stars_of(home: Home, photo: Path) -> int:
    return int(home.sql("select rating_in_file from photo_quality where file_name = ?", photo.name)[0][0])


def persons(home: Home) -> dict[str, int]:
    """Return the ratings that count as a person's, by file name."""
    return dict(home.sql("select file_name, rating_in_file from photo_quality where rating_owner = 'person'"))


def json_lines(home: Home, *arguments: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in home.maclip(*arguments).stdout.splitlines()]


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


def test_stars_pressed_with_sidecars_after_edit_are_a_persons(
    home: Home, screen: Screen, installation: Installation
) -> None:
    """darktable 4 writes these stars into sidecars, darktable 5 does not."""
    installation.require("darktable")
    photos = make_photos(home.photos, 6)
    darktable = Darktable(
        home.folder, screen, "write_sidecar_files=after edit", NO_FIRST_STAR, installation=installation
    )
    try:
        darktable.add(home.photos, 6)
        in_workspace(home, darktable)
        darktable.press_stars(photos[0], 4)
        darktable.lua("darktable.control.sleep(2000)")
        assert (
            "5 rated, 1 left alone with your own rating" in home.maclip("run", "--once", home.photos).stdout
        )
        assert persons(home) == {photos[0].name: 4}
        pressed = stars_of(home, photos[1]) % 5 + 1
        darktable.press_stars(photos[1], pressed)
        darktable.lua("darktable.control.sleep(2000)")
        for _ in range(2):
            home.maclip("run", "--once", home.photos)
            home.maclip("rate", MACLIP_RATING__SHARES="[50, 0, 0, 0, 50]")
            assert persons(home) == {photos[0].name: 4, photos[1].name: pressed}
        seen = darktable.seen(home.photos)
        assert (seen[photos[0].name].rating, seen[photos[1].name].rating) == (4, pressed)
    finally:
        darktable.close()


@pytest.mark.long_form
def test_sidecars_that_darktable_deletes_are_written_again(
    home: Home, screen: Screen, installation: Installation
) -> None:
    """darktable 5 with *after edit* deletes the sidecars of photos without edits when it imports them."""
    installation.require("darktable")
    photos = make_photos(home.photos, 5)
    home.maclip("run", "--once", home.photos)
    stars = {photo.name: stars_of(home, photo) for photo in photos}
    darktable = Darktable(home.folder, screen, "write_sidecar_files=after edit", installation=installation)
    try:
        assert {name: seen.rating for name, seen in darktable.add(home.photos, 5).items()} == stars
        in_workspace(home, darktable)
        darktable.lua("darktable.control.sleep(2000)")
        left = len(list(home.photos.glob("*.xmp")))
        output = home.maclip("run", "--once", home.photos).stdout
        assert (f"deleted {5 - left} sidecar" in output) == (left < 5)
        assert {photo: sidecar_of(photo).exists() for photo in photos} == dict.fromkeys(photos, True)
        assert home.sql("select distinct rating_owner from photo_quality") == [("maclip",)]
        assert {name: seen.rating for name, seen in darktable.seen(home.photos).items()} == stars
        home.maclip("undo")
        assert not list(home.photos.glob("*.xmp"))
    finally:
        darktable.close()


def test_darktables_first_star_in_its_sidecars_is_replaced_on_request_and_comes_back(
    home: Home, screen: Screen, installation: Installation
) -> None:
    installation.require("darktable")
    photos = make_photos(home.photos, 6)
    darktable = Darktable(home.folder, screen, "write_sidecar_files=on import", installation=installation)
    try:
        darktable.add(home.photos, 6)
        darktable.press_stars(photos[0], 3)
        for photo in photos:
            assert b'xmp:Rating="' in darktable.written(sidecar_of(photo))
        in_workspace(home, darktable)
        before = contents(home.photos)
        output = home.maclip("run", "--once", home.photos).stdout
        assert "6 left alone with your own rating" in output
        assert "5 photos" in output
        assert "maclip rate --over-first-stars" in output
        for command in ("status", "doctor"):
            assert "maclip rate --over-first-stars" in home.maclip(command, expect=None).stdout
        home.maclip("rate")
        assert contents(home.photos) == before, "nothing is claimed by default"
        listed = home.maclip("rate", "--over-first-stars", "--dry-run").stdout.splitlines()
        assert listed == [str(photo) for photo in photos[1:]]
        assert contents(home.photos) == before
        assert "2 rated" in home.maclip("rate", "--over-first-stars", photos[1], photos[2]).stdout
        assert "3 rated" in home.maclip("rate", "--over-first-stars").stdout
        assert sidecar_of(photos[0]).read_bytes() == before[sidecar_of(photos[0])]
        rows = dict(home.sql("select file_name, rating_owner from photo_quality"))
        assert rows == {photo.name: "maclip" for photo in photos[1:]} | {photos[0].name: "person"}
        assert "5 files restored" in home.maclip("undo").stdout
        assert contents(home.photos) == before
    finally:
        darktable.close()
