"""A real darktable reads our sidecars, and we read darktable's."""

from __future__ import annotations

import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from tests.photo_managers.applications import TIMEOUT_S, Installation, Screen, Seen, until
from tests.photo_managers.conftest import DESCRIBED, TAGS, TITLE, Rate, make_photo, sidecar_of
from tests.photo_managers.darktable_application import Darktable, develop

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng

# darktable 4.2's exposure module, version 6: mode, black, stops, percentile, target, bias of the camera.
TWO_STOPS = struct.pack("<iffffi", 0, 0.0, 2.0, 50.0, -4.0, 0).hex()
HISTORY = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:darktable="http://darktable.sf.net/"
   xmp:Rating="0"
   darktable:xmp_version="5"
   darktable:raw_params="0"
   darktable:auto_presets_applied="1"
   darktable:history_end="1"
   darktable:iop_order_version="2">
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{TITLE}</rdf:li></rdf:Alt></dc:title>
   <darktable:masks_history><rdf:Seq/></darktable:masks_history>
   <darktable:history>
    <rdf:Seq>
     <rdf:li darktable:num="0" darktable:operation="exposure" darktable:enabled="1"
      darktable:modversion="6" darktable:params="{TWO_STOPS}"
      darktable:multi_name="" darktable:multi_priority="0" darktable:blendop_version="11"
      darktable:blendop_params="gz11eJxjYGBgkGAAgRNODGiAEV0AJ2iwh+CRyscOAAdeGQQ="/>
    </rdf:Seq>
   </darktable:history>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""


def is_written_by_maclip(text: str) -> bool:
    return "http://ns.maclip-daemon/quality/1.0/" in text


@pytest.fixture
def own_darktable(tmp_path: Path, screen: Screen, installation: Installation) -> Iterator[Darktable]:
    """Yield a darktable that a test may stop and start again; all stars go into sidecars in it."""
    installation.require("darktable")
    on_import = "write_sidecar_files=on import"
    darktable = Darktable(tmp_path / "darktable", screen, on_import, installation=installation)
    yield darktable
    darktable.close()


def test_a_new_sidecar_sets_stars_and_keeps_title_and_tags(
    tmp_path: Path, darktable: Darktable, rate: Rate
) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    names = ["a.jpg", "b.png", "c.tif", "plain.jpg"]
    for folder in (before, after):
        for seed, name in enumerate(names):
            make_photo(folder / name, seed, None if name == "plain.jpg" else DESCRIBED)
    for stars, name in enumerate(names, start=2):
        assert rate(after / name, stars).status == "prepared"
    untouched = darktable.add(before, 4)
    seen = darktable.add(after, 4)
    assert {name: photo.rating for name, photo in seen.items()} == dict(zip(names, (2, 3, 4, 5), strict=True))
    assert {(photo.title, photo.tags) for name, photo in seen.items() if name != "plain.jpg"} == {
        (TITLE, TAGS)
    }
    for name in names:
        assert (seen[name].title, seen[name].tags) == (untouched[name].title, untouched[name].tags)


def test_a_persons_rating_is_left_alone_in_photo_and_sidecar(
    tmp_path: Path, darktable: Darktable, rate: Rate
) -> None:
    embedded = make_photo(tmp_path / "album" / "embedded.jpg", 1, DESCRIBED | {"Xmp.xmp.Rating": "2"})
    beside = make_photo(tmp_path / "album" / "beside.jpg", 2)
    sidecar_of(beside).write_text(HISTORY.replace('xmp:Rating="0"', 'xmp:Rating="5"'), "utf-8")
    rejected = make_photo(tmp_path / "album" / "rejected.jpg", 3, {"Xmp.xmp.Rating": "-1"})
    before = {path: path.read_bytes() for path in (tmp_path / "album").iterdir()}
    assert {rate(photo, 4).status for photo in (embedded, beside, rejected)} == {"person"}
    assert {path: path.read_bytes() for path in (tmp_path / "album").iterdir()} == before
    seen = darktable.add(tmp_path / "album", 3)
    assert {name: photo.rating for name, photo in seen.items()} == {
        "embedded.jpg": 2,
        "beside.jpg": 5,
        "rejected.jpg": -1,
    }


def test_an_edit_history_develops_to_the_same_pixels(
    tmp_path: Path, installation: Installation, rate: Rate
) -> None:
    installation.require("darktable-cli")
    photo = make_photo(tmp_path / "album" / "edited.jpg", 4)
    sidecar_of(photo).write_text(HISTORY, "utf-8")

    def developed(name: str, *sidecar: Path) -> Image.Image:
        develop(installation, tmp_path / "cli", photo, tmp_path / name, *sidecar)
        with Image.open(tmp_path / name) as image:
            return image.convert("RGB")

    before = developed("before.png", sidecar_of(photo))
    assert rate(photo, 3).status == "prepared"
    assert rate(photo, 5, last=3).status == "prepared"
    assert is_written_by_maclip(sidecar_of(photo).read_text("utf-8"))
    after = developed("after.png", sidecar_of(photo))
    assert ImageChops.difference(before, after).getbbox() is None
    sidecar = sidecar_of(photo).rename(tmp_path / "aside.xmp")
    plain = developed("plain.png")
    assert ImageChops.difference(before, plain).getbbox(), (
        "the history changes nothing: the test proves nothing"
    )
    assert sidecar.exists()


def test_raw_and_jpeg_of_one_shot_are_both_rated(tmp_path: Path, darktable: Darktable, rate: Rate) -> None:
    album = tmp_path / "album"
    jpeg = make_photo(album / "IMG_1.jpg", 5, DESCRIBED)
    raw = write_dng(album / "IMG_1.dng")
    assert {rate(photo, 4).status for photo in (jpeg, raw)} == {"prepared"}
    assert {path.name for path in album.iterdir()} == {
        "IMG_1.jpg",
        "IMG_1.jpg.xmp",
        "IMG_1.dng",
        "IMG_1.dng.xmp",
    }
    seen = darktable.add(album, 2)
    assert {name: photo.rating for name, photo in seen.items()} == {"IMG_1.jpg": 4, "IMG_1.dng": 4}
    assert seen["IMG_1.jpg"].title == TITLE


def test_duplicates_stay_duplicates_and_numbered_photos_do_not_become_duplicates(
    tmp_path: Path, own_darktable: Darktable, rate: Rate
) -> None:
    album = tmp_path / "album"
    photo = make_photo(album / "IMG.jpg", 6)
    numbered = make_photo(album / "IMG_01.jpg", 7)
    assert rate(photo, 3).status == "prepared"
    refused = rate(numbered, 5)
    assert refused.status == "skipped"
    assert "duplicate of IMG.jpg" in refused.reason
    seen = own_darktable.add(album, 2)
    assert seen.keys() == {"IMG.jpg", "IMG_01.jpg"}
    assert seen["IMG.jpg"].rating == 3
    # A duplicate created in darktable has its own sidecar, which maclip never writes.
    other = tmp_path / "other"
    twice = make_photo(other / "twice.jpg", 8)
    own_darktable.add(other, 1)
    own_darktable.lua(
        "for _, image in ipairs(darktable.database) do if image.filename == 'twice.jpg' then"
        " image:duplicate().rating = 2 return end end"
    )
    duplicate = other / "twice_01.jpg.xmp"
    theirs = own_darktable.written(duplicate)
    outcome = rate(twice, 5)
    assert duplicate.read_bytes() == theirs
    assert outcome.target in (None, sidecar_of(twice), twice)
    own_darktable.close()
    assert {path.name for path in other.iterdir()} <= {"twice.jpg", "twice.jpg.xmp", "twice_01.jpg.xmp"}


def test_a_rating_in_darktable_between_two_of_our_writes_wins_for_good(
    tmp_path: Path, own_darktable: Darktable, rate: Rate
) -> None:
    album = tmp_path / "album"
    photo = make_photo(album / "pressed.jpg", 9, DESCRIBED)
    other = make_photo(album / "other.jpg", 10)
    for each in (photo, other):
        rate(each, 3)
    assert own_darktable.add(album, 2)["pressed.jpg"].rating == 3
    own_darktable.press_stars(photo, 5)
    sidecar = sidecar_of(photo)
    log = own_darktable.home / "darktable.log"
    until(
        lambda: re.search(r'xmp:Rating="5"', sidecar.read_text("utf-8")), "the pressed star", log, TIMEOUT_S
    )
    theirs = sidecar.read_bytes()
    assert is_written_by_maclip(theirs.decode()), "darktable keeps what it does not know"
    for stars, last in ((1, 3), (2, 3), (3, 3), (5, 3)):
        assert rate(photo, stars, last).status == "person"
    assert sidecar.read_bytes() == theirs
    assert rate(other, 1, 3).status == "prepared"
    own_darktable.restart()
    # A running darktable does not read sidecars again; a new import does.
    assert {name: each.rating for name, each in own_darktable.seen(album).items()} == {
        "pressed.jpg": 5,
        "other.jpg": 3,
    }
    own_darktable.lua("while #darktable.database > 0 do darktable.database[1]:delete() end")
    again = own_darktable.add(album, 2)
    assert {name: each.rating for name, each in again.items()} == {"pressed.jpg": 5, "other.jpg": 1}
    assert (again["pressed.jpg"].title, again["pressed.jpg"].tags) == (TITLE, TAGS)


def test_unicode_and_very_long_paths_are_read_unchanged(
    tmp_path: Path, darktable: Darktable, rate: Rate
) -> None:
    deep = tmp_path / "Ünïcödé 写真 🌊" / "/".join(["x" * 120] * 3)
    longest = "l" * (255 - len(".jpg.xmp")) + ".jpg"
    names = ["ночь & <tag> 'quote' \"double\".jpg", "e\u0301 decomposed.jpg", longest]
    for seed, name in enumerate(names):
        assert rate(make_photo(deep / name, 20 + seed, DESCRIBED), seed + 2).status == "prepared"
    too_long = make_photo(deep / ("m" * 251 + ".jpg"), 30)
    assert "too long" in rate(too_long, 5).reason
    too_long.unlink()
    seen = darktable.add(deep, 3)
    assert seen == {name: Seen(stars, TITLE, TAGS) for stars, name in enumerate(names, start=2)}


def test_a_bucket_tag_is_added_to_the_users_tags(tmp_path: Path, darktable: Darktable, rate: Rate) -> None:
    photo = make_photo(tmp_path / "album" / "tagged.jpg", 11, DESCRIBED)
    assert rate(photo, 3, bucket_tags=True).status == "prepared"
    assert darktable.add(photo.parent, 1) == {"tagged.jpg": Seen(3, TITLE, (*TAGS, "quality|40-49"))}
