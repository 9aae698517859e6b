"""Rating options, and the files after a later change of an option."""

from __future__ import annotations

import re
from pathlib import Path

import pyexiv2
import pytest

from tests.homes import Home, contents, make_photo, make_photos


def ratings_of(photo: Path) -> set[int]:
    """Return all ratings in the photo and in its sidecars."""
    found = set()
    with pyexiv2.ImageData(photo.read_bytes()) as image:
        if rating := image.read_xmp().get("Xmp.xmp.Rating"):
            found.add(int(rating))
    for sidecar in (Path(f"{photo}.xmp"), photo.with_suffix(".xmp")):
        if sidecar.exists():
            found |= {
                int(rating) for rating in re.findall(r'xmp:Rating="(-?\d)"', sidecar.read_text("utf-8"))
            }
    return found


def stars(home: Home) -> dict[str, int]:
    return dict(home.sql("select file_name, stars from photo_quality"))


def tags_of(photo: Path) -> list[str]:
    return re.findall(r"quality[|/]\d+-\d+", Path(f"{photo}.xmp").read_text("utf-8"))


@pytest.mark.long_form("sidecar to embed", "sidecar to off", "embed to off")
@pytest.mark.parametrize(
    "modes",
    [("sidecar", "embed"), ("embed", "sidecar"), ("sidecar", "off"), ("embed", "off")],
    ids=" to ".join,
)
def test_a_later_change_of_mode_leaves_no_contradicting_ratings(home: Home, modes: tuple[str, str]) -> None:
    photos = make_photos(home.photos, 6)
    originals = contents(home.photos)
    first, second = ({"MACLIP_RATING__MODE": mode} for mode in modes)
    home.maclip("run", "--once", home.photos, **first)
    before = stars(home)
    assert all(ratings_of(photo) == {before[photo.name]} for photo in photos)
    # Twice as many photos and other shares: most stars change.
    more = make_photos(home.photos, 6, first=50)
    other = second | {"MACLIP_RATING__SHARES": "[40, 30, 10, 10, 10]"}
    home.maclip("run", "--once", home.photos, expect=None, **other)
    home.maclip("rate", **other)
    after = stars(home)
    assert any(before[photo.name] != after[photo.name] for photo in photos)
    for photo in photos:
        assert len(ratings_of(photo)) == 1, "two ratings that contradict each other"
    if modes[1] == "off":
        assert all(ratings_of(photo) == {before[photo.name]} for photo in photos)
        assert all(not ratings_of(photo) for photo in more)
    elif modes[1] == "embed":
        assert all(ratings_of(photo) == {after[photo.name]} for photo in (*photos, *more))
        assert not any(Path(f"{photo}.xmp").exists() for photo in more)
    else:
        problems = home.json("status", "--json")["rating_problems"]
        changed = {photo.name for photo in photos if before[photo.name] != after[photo.name]}
        assert {Path(problem["path"]).name for problem in problems} == changed
        assert all("undo" in problem["reason"] for problem in problems)
        # The command that the message names.
        home.maclip("undo", *photos)
        home.maclip("rate", **other)
        assert all(ratings_of(photo) == {after[photo.name]} for photo in photos)
    home.maclip("undo")
    now = contents(home.photos)
    assert {path: now[path] for path in originals} == originals


def test_bucket_tags_follow_the_percentile_and_undo_removes_them(home: Home) -> None:
    photos = make_photos(home.photos, 10)
    untouched = contents(home.photos)
    on = {"MACLIP_RATING__BUCKET_TAGS": "true"}
    home.maclip("run", "--once", home.photos)
    assert not any(tags_of(photo) for photo in photos)
    # Switched on later: `rate` adds the tags although no stars change.
    assert " 0 photos change" in home.maclip("rate", **on).stdout
    percentiles = dict(home.sql("select file_name, percentile from photo_quality"))
    for photo in photos:
        begin = int(percentiles[photo.name] // 10) * 10
        assert set(tags_of(photo)) == {f"quality{separator}{begin}-{begin + 9}" for separator in "|/"}, (
            percentiles[photo.name]
        )
        assert len(tags_of(photo)) == 3
    # Other percentiles, other tags: one in each list; unchanged tags are not written again.
    make_photos(home.photos, 10, first=30)
    home.maclip("run", "--once", home.photos, **on)
    percentiles = dict(home.sql("select file_name, percentile from photo_quality"))
    for photo in photos:
        begin = int(percentiles[photo.name] // 10) * 10
        assert set(tags_of(photo)) == {f"quality{separator}{begin}-{begin + 9}" for separator in "|/"}
    written = home.sql("select count(*) from rating_journal")
    home.maclip("rate", **on)
    assert home.sql("select count(*) from rating_journal") == written
    home.maclip("undo")
    now = contents(home.photos)
    assert {path: now[path] for path in untouched} == untouched
    assert not [path for path in now if path.suffix == ".xmp"]


def test_what_changed_while_rating_was_off_is_in_the_sidecars_once_it_is_on_again(home: Home) -> None:
    photo, titled, *others = make_photos(home.photos, 6)
    off, same = {"MACLIP_RATING__MODE": "off"}, {"MACLIP_RATING__EDGES": "[-100, -99, 99, 100]"}
    home.maclip("run", "--once", home.photos, **same)
    written = {each: Path(f"{each}.xmp").read_bytes() for each in others}
    make_photo(photo, 99, blur=4)
    with pyexiv2.Image(str(titled)) as image:
        image.modify_xmp({"Xmp.dc.title": "Am Kai"})
    home.maclip("run", "--once", home.photos, **same, **off)
    home.maclip("run", "--once", home.photos, **same)
    (score,) = home.sql("select score from photo_quality where file_name = ?", photo.name)[0]
    assert f'maclip:Score="{score:.6f}"' in Path(f"{photo}.xmp").read_text("utf-8")
    assert "Am Kai" in Path(f"{titled}.xmp").read_text("utf-8")
    assert {each: Path(f"{each}.xmp").read_bytes() for each in others} == written
    assert not re.search(r"\d (scored|rated)", home.maclip("run", "--once", home.photos, **same).stdout)
