"""A person's verdict, wherever they gave it, stays through runs, `maclip rate` and a new calibration."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pyexiv2

from tests.homes import Home, make_photo, make_photos, until

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng

SIDECAR = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="{}"/></rdf:RDF>'
    "</x:xmpmeta>"
)
NEW_SHARES = "[40, 30, 10, 10, 10]"


def of(photo: Path) -> Path:
    return photo.with_name(f"{photo.name}.xmp")


def rating_in(sidecar: Path) -> str | None:
    found = re.search(r'xmp:Rating="(-?\d)"', sidecar.read_text("utf-8"))
    return found[1] if found else None


def touch_later(*files: Path) -> None:
    """Make files look written some seconds from now, as an edit after the run would be."""
    for file in files:
        later = file.stat().st_mtime + 10
        os.utime(file, (later, later))


def owner_of(home: Home, photo: Path) -> tuple[str, int | None]:
    rows = home.sql(
        f"select rating_owner, rating_in_file from photo_quality where file_name = '{photo.name}'"
    )
    owner, rating = rows[0]
    return str(owner), None if rating is None else int(str(rating))


def test_stars_taken_away_stay_away_until_the_person_asks_again(home: Home) -> None:
    first, second, *_ = make_photos(home.photos, 8)
    home.maclip("run", "--once", home.photos)
    text = of(first).read_text("utf-8")
    of(first).write_text(re.sub(r'xmp:Rating="\d"', 'xmp:Rating="0"', text), "utf-8")
    of(second).write_text(re.sub(r'xmp:Rating="\d"', "", of(second).read_text("utf-8")), "utf-8")
    touch_later(of(first), of(second))
    home.maclip("run", "--once", home.photos)
    home.maclip("rate", MACLIP_RATING__SHARES=NEW_SHARES)
    assert (rating_in(of(first)), rating_in(of(second))) == ("0", None)
    assert owner_of(home, first) == owner_of(home, second) == ("person", 0)
    preview = home.maclip("rate", "--again", "--dry-run").stdout
    assert first.name in preview
    assert second.name in preview
    assert rating_in(of(first)) == "0"
    home.maclip("rate", "--again", first)
    assert rating_in(of(first)) != "0"
    assert owner_of(home, first)[0] == "maclip"
    assert rating_in(of(second)) is None


def test_our_sidecar_follows_stars_in_the_photo_or_in_its_other_sidecar_and_undo_removes_it(
    home: Home,
) -> None:
    inside, beside, *_ = make_photos(home.photos, 8)
    home.maclip("run", "--once", home.photos)
    with pyexiv2.Image(str(inside)) as image:  # digiKam's mode "photos only"
        image.modify_xmp({"Xmp.xmp.Rating": "5"})
    other = beside.with_suffix(".xmp")  # digiKam with compatible file names
    other.write_text(SIDECAR.format(1), "utf-8")
    touch_later(inside, other)
    before = (inside.read_bytes(), other.read_bytes())
    home.maclip("run", "--once", home.photos)
    assert (rating_in(of(inside)), rating_in(of(beside))) == ("5", "1")
    assert owner_of(home, inside) == ("person", 5)
    assert owner_of(home, beside) == ("person", 1)
    home.maclip("rate", MACLIP_RATING__SHARES=NEW_SHARES)
    assert (rating_in(of(inside)), rating_in(of(beside))) == ("5", "1")
    home.maclip("undo")
    assert not of(inside).exists()
    assert not of(beside).exists()
    assert (inside.read_bytes(), other.read_bytes()) == before


def test_a_shot_of_which_one_file_is_rated_or_rejected_has_one_verdict(home: Home) -> None:
    make_photos(home.photos, 6)
    rejected = write_dng(home.photos / "A.dng", 320, 240)
    follower = make_photo(home.photos / "A.jpg", 90)
    of(rejected).write_text(SIDECAR.format(-1), "utf-8")
    late = write_dng(home.photos / "B.dng", 384, 240)
    rated_late = make_photo(home.photos / "B.jpg", 91)
    home.maclip("run", "--once", home.photos)
    assert owner_of(home, follower) == owner_of(home, rejected) == ("person", -1)
    assert not of(follower).exists()
    of(rated_late).write_text(
        re.sub(r'xmp:Rating="\d"', 'xmp:Rating="-1"', of(rated_late).read_text("utf-8")), "utf-8"
    )
    touch_later(of(rated_late))
    home.maclip("run", "--once", home.photos)
    assert rating_in(of(late)) == "-1"
    assert owner_of(home, late) == ("person", -1)
    # The sidecar's time lies ahead, so it is looked at once more.
    assert not re.search(r"\d (scored|rated)", home.maclip("run", "--once", home.photos).stdout)


def test_a_photo_that_cannot_be_read_is_named_and_gets_no_sidecar(home: Home) -> None:
    make_photos(home.photos, 6)
    photo = make_photo(home.photos / "odd.jpg", 90)
    data = photo.read_bytes()
    content = b"http://ns.adobe.com/xap/1.0/\0" + SIDECAR.format(5).encode()[:-30]
    photo.write_bytes(data[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content + data[2:])
    home.maclip("run", "--once", home.photos)
    assert not of(photo).exists()
    status = home.maclip("status").stdout
    assert "odd.jpg" in status
    assert "its embedded XMP is damaged" in status


def test_new_sidecars_have_the_name_that_digikam_reads(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos, MACLIP_RATING__SIDECAR_NAME="stem")
    assert all(photo.with_suffix(".xmp").exists() and not of(photo).exists() for photo in photos)
    home.maclip("undo")
    assert not list(home.photos.glob("*.xmp"))


def test_a_persons_next_stars_where_maclip_never_wrote_are_known_after_a_time_without_it(home: Home) -> None:
    first, second, third, *_ = make_photos(home.photos, 8)
    for photo in (first, second, third):
        of(photo).write_text(SIDECAR.format(5), "utf-8")
    home.maclip("run", "--once", home.photos)
    assert [owner_of(home, photo) for photo in (first, second, third)] == 3 * [("person", 5)]
    of(first).write_text(SIDECAR.format(2), "utf-8")
    of(second).write_text(SIDECAR.format(0), "utf-8")
    of(third).unlink()
    home.maclip("run", "--once", home.photos)
    assert owner_of(home, first) == ("person", 2)
    assert owner_of(home, second) == ("person", 0)
    assert owner_of(home, third) == ("person", 5), "nobody else knows it any more"
    assert (rating_in(of(first)), rating_in(of(second))) == ("2", "0")
    assert "no problem found" in home.maclip("db", "check", "--sidecars").stdout
    assert "Nothing to do." in home.maclip("run", "--once", home.photos).stdout


def test_a_persons_stars_for_a_photo_whose_stars_were_undone_are_known(home: Home) -> None:
    first, second, *_ = make_photos(home.photos, 8)
    home.maclip("run", "--once", home.photos)
    home.maclip("undo", home.photos)
    of(first).write_text(SIDECAR.format(4), "utf-8")
    assert "1 left alone with your own rating." in home.maclip("run", "--once", home.photos).stdout
    assert owner_of(home, first) == ("person", 4)
    daemon = home.daemon()
    until(home.is_at_rest, "the daemon")
    of(second).write_text(SIDECAR.format(3), "utf-8")
    until(lambda: owner_of(home, second) == ("person", 3), "the person's stars")
    of(second).write_text(SIDECAR.format(0), "utf-8")
    until(lambda: owner_of(home, second) == ("person", 0), "that they are gone")
    home.stop(daemon)
    assert sorted(path.name for path in home.photos.glob("*.xmp")) == [of(first).name, of(second).name]
