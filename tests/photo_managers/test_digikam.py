"""A real digiKam reads our sidecars and photos, and we read digiKam's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.photo_managers.applications import Installation, Seen, need
from tests.photo_managers.conftest import DESCRIBED, TAGS, TITLE, Rate, make_photo, sidecar_of
from tests.photo_managers.digikam_application import DIGIKAM_OPTIONS, DigiKam

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng

LIGHTROOM = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   crs:Exposure2012="+0.50"/>
 </rdf:RDF>
</x:xmpmeta>
"""
WRITING = ("Save Rating=true", "Use Lazy Sync=false")  # at once
WRITING_MODE = {"photo": 0, "sidecar": 1}

OpenDigiKam = Callable[..., DigiKam]


def known(photos: int) -> str:
    """Return the SQL condition that digiKam has read so many photos."""
    return f"select count(*) = {photos} from ImageInformation"


def test_every_kind_of_photo_shows_our_stars_and_keeps_its_metadata(
    tmp_path: Path, open_digikam: OpenDigiKam, installation: Installation, rate: Rate
) -> None:
    album = tmp_path / "album"
    deep = "Ünïcödé 写真 🌊/" + "/".join(["x" * 120] * 3)
    longest = deep + "/" + "l" * (255 - len(".jpg.xmp")) + ".jpg"
    wanted = {"a.jpg": 2, "b.png": 3, "c.tif": 4, "IMG_1.jpg": 5, f"{deep}/ночь & <tag>.jpg": 1, longest: 3}
    for seed, (name, stars) in enumerate(wanted.items()):
        assert rate(make_photo(album / name, 40 + seed, DESCRIBED), stars).status == "prepared"
    assert rate(write_dng(album / "IMG_1.dng"), 5).status == "prepared"
    embedded = make_photo(album / "embedded.jpg", 50, DESCRIBED)
    assert rate(embedded, 4, mode="embed").target == embedded
    # A person's ratings, and a trailing number that darktable would read as a duplicate's.
    theirs = make_photo(album / "theirs.jpg", 51, DESCRIBED | {"Xmp.xmp.Rating": "2"})
    assert rate(theirs, 5).status == "person"
    numbered = make_photo(album / "a_01.jpg", 52, DESCRIBED | {"Xmp.xmp.Rating": "0"})
    assert rate(numbered, 5).status == "skipped"
    # A Lightroom sidecar shared by RAW and JPEG: only the RAW's score is written.
    shared_jpeg = make_photo(album / "IMG_2.jpg", 53)
    shared_raw = write_dng(album / "IMG_2.dng", 320, 240)
    (album / "IMG_2.xmp").write_text(LIGHTROOM)
    assert rate(shared_raw, 1).target == album / "IMG_2.xmp"
    assert "only the RAW's score" in rate(shared_jpeg, 5).reason

    tagged = make_photo(album / "tagged.jpg", 54, DESCRIBED)
    assert rate(tagged, 3, bucket_tags=True).status == "prepared"

    digikam = open_digikam(album)
    seen = digikam.scan(known(13))
    assert seen["tagged.jpg"] == Seen(3, TITLE, (*TAGS, "quality|40-49"))
    expected = {Path(name).name: Seen(stars, TITLE, TAGS) for name, stars in wanted.items()}
    assert {name: seen[name] for name in expected} == expected
    assert seen["embedded.jpg"] == Seen(4, TITLE, TAGS)
    assert seen["theirs.jpg"] == Seen(2, TITLE, TAGS)
    assert seen["a_01.jpg"].title == TITLE
    assert not seen["a_01.jpg"].rating
    assert seen["IMG_1.dng"].rating == 5
    # Today's digiKam reads IMG_2.xmp only when it is told to (Use Compatible File Name).
    assert seen["IMG_2.dng"].rating == (None if installation.is_today else 1)

    # New stars later: digiKam reads them in its next scan; nothing else changes.
    assert rate(album / "a.jpg", 5, last=2).status == "prepared"
    assert rate(album / "IMG_1.jpg", 1, last=5).status == "prepared"
    again = digikam.scan(
        "select count(*) = 2 from Images i join ImageInformation n on n.imageid = i.id"
        " where i.name = 'a.jpg' and n.rating = 5 or i.name = 'IMG_1.jpg' and n.rating = 1"
    )
    changed = {"a.jpg": Seen(5, TITLE, TAGS), "IMG_1.jpg": Seen(1, TITLE, TAGS)}
    assert again == seen | changed


@pytest.mark.long_form("sidecar")
@pytest.mark.parametrize("into", ["sidecar", "photo"])
def test_a_rating_in_digikam_between_two_of_our_writes_wins_for_good(
    tmp_path: Path, open_digikam: OpenDigiKam, rate: Rate, into: str
) -> None:
    need("xdotool")
    album = tmp_path / "album"
    photo = make_photo(album / "pressed.jpg", 60, DESCRIBED)
    sidecar = sidecar_of(photo)
    assert rate(photo, 2).status == "prepared"
    digikam = open_digikam(album, *DIGIKAM_OPTIONS, *WRITING, f"Metadata Writing Mode={WRITING_MODE[into]}")
    assert digikam.scan(known(1)) == {"pressed.jpg": Seen(2, TITLE, TAGS)}
    target = sidecar if into == "sidecar" else photo
    digikam.press_stars(5, lambda: b'xmp:Rating="5"' in target.read_bytes())
    theirs = sidecar.read_bytes()
    assert b"http://ns.maclip-daemon/quality/1.0/" in theirs, "digiKam keeps what it does not know"
    for stars in (1, 2, 5):
        found = rate(photo, stars, last=2).found
        assert found is not None
        assert (found.owner, found.rating) == ("person", 5)
    if into == "photo":  # our sidecar would hide the person's stars, so it follows them
        assert b'xmp:Rating="5"' in sidecar.read_bytes()
    else:
        assert sidecar.read_bytes() == theirs


def test_rating_fields_of_digikam_stay_consistent_with_our_rating(
    tmp_path: Path, open_digikam: OpenDigiKam, rate: Rate
) -> None:
    photo = make_photo(tmp_path / "album" / "fields.jpg", 61, DESCRIBED)
    in_step = {"Xmp.xmp.Rating": "0", "Xmp.MicrosoftPhoto.Rating": "0", "Xmp.acdsee.rating": "0"}
    photo.write_bytes(make_photo(tmp_path / "fields.jpg", 61, DESCRIBED | in_step).read_bytes())
    assert rate(photo, 2).status == "prepared"
    assert rate(photo, 4, last=2).status == "prepared"
    written = sidecar_of(photo).read_text("utf-8")
    assert 'MicrosoftPhoto:Rating="75"' in written
    assert 'acdsee:rating="4"' in written
    assert open_digikam(photo.parent).scan(known(1)) == {"fields.jpg": Seen(4, TITLE, TAGS)}
