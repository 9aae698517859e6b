"""`maclip undo` in a library with every file kind, after every kind of write."""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.faults.program_writes import Packet, embed
from tests.homes import Home, contents

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import picture, still_bytes, write_dng

SIDECAR = """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'>
<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
 <!-- a comment, single quotes and odd spacing: exiv2 would write none of it like this -->
 <rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/'   dc:source='a scan'/>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>"""
LABELLED = b"<rdf:Description xmlns:digiKam='http://www.digikam.org/ns/1.0/' digiKam:ColorLabel='4' "
SUFFIXES = ("jpg", "png", "webp", "heic", "avif", "tif", "dng")


def mixed_library(folder: Path) -> None:
    """Create photos of each kind: one without a sidecar, and one with each sort of sidecar."""
    for number, suffix in enumerate(SUFFIXES):
        for variant, name in enumerate(("plain", "darktable", "lightroom")):
            photo = folder / suffix / f"{name}.{suffix}"
            photo.parent.mkdir(parents=True, exist_ok=True)
            seed = 10 * number + variant + 1
            if suffix == "dng":
                write_dng(photo, 320 + 2 * variant, 240, brightness=1 - 0.2 * variant)
            else:
                photo.write_bytes(still_bytes(picture(seed=seed), suffix))
            if name == "darktable":
                Path(f"{photo}.xmp").write_text(SIDECAR, "utf-8")
            elif name == "lightroom":
                photo.with_suffix(".xmp").write_text(SIDECAR, "utf-8")
    for path in folder.rglob("*.*"):
        os.utime(path, ns=(1_700_000_000_123_456_789, 1_700_000_000_987_654_321))


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_undo_restores_every_file_byte_for_byte_with_its_time(home: Home, mode: str) -> None:
    mixed_library(home.photos)
    before = contents(home.photos)
    times = {path: path.stat().st_mtime_ns for path in before}
    options = {"MACLIP_RATING__MODE": mode}
    home.maclip("run", "--once", home.photos, **options)
    assert len(home.sql("select 1 from photo_quality where rating_owner = 'maclip'")) == 3 * len(SUFFIXES)
    # Written again and again: other shares, other stars.
    for shares in ("[40, 30, 10, 10, 10]", "[0, 10, 10, 20, 60]"):
        home.maclip("rate", MACLIP_RATING__SHARES=shares, **options)
    writes = dict(
        home.sql("select target_path, count(*) from rating_journal where state = 'written' group by 1")
    )
    assert max(writes.values()) == 1, "successive writes are one entry"
    assert len(writes) == 3 * len(SUFFIXES)
    changed = {path for path, data in contents(home.photos).items() if before.get(path) != data}
    assert {str(path) for path in changed} == writes.keys()
    embedded = {path.suffix for path in changed} - {".xmp"}
    assert embedded == ({".jpg", ".png", ".webp"} if mode == "embed" else set())
    assert " restored" in home.maclip("undo").stdout
    assert contents(home.photos) == before
    assert {path: path.stat().st_mtime_ns for path in before} == times


def test_undo_names_each_file_that_was_changed_since_and_restores_all_others(home: Home) -> None:
    mixed_library(home.photos)
    before = contents(home.photos)
    home.maclip("run", "--once", home.photos)
    mine = home.photos / "jpg" / "plain.jpg.xmp"
    mine.write_text(mine.read_text("utf-8").replace("</x:xmpmeta>", "<!-- mine --></x:xmpmeta>"), "utf-8")
    gone = home.photos / "png" / "plain.png.xmp"
    gone.unlink()
    theirs = mine.read_bytes()
    done = home.maclip("undo", expect=1)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("left alone: ")]
    assert line.count(str(mine)) == 1
    after = contents(home.photos)
    assert after.pop(mine) == theirs
    assert after == before


@pytest.mark.long_form
def test_copies_inside_photos_are_counted_and_taken_out_after_adopting_them(home: Home) -> None:
    """digiKam, writing into photos, copies all that it read from the sidecar."""
    photos = [home.photos / f"{number}.jpg" for number in range(3)]
    for seed, photo in enumerate(photos):
        photo.write_bytes(still_bytes(picture(seed=seed + 1), "jpg"))
    home.maclip("run", "--once", home.photos, MACLIP_RATING__EDGES="[0.2,0.4,0.6,0.8]")
    untouched = photos[2].read_bytes()
    for photo in photos[:2]:
        sidecar = Path(f"{photo}.xmp").read_bytes()
        photo.write_bytes(embed(photo.read_bytes(), sidecar.replace(b"<rdf:Description ", LABELLED, 1)))
    copied = [photo.read_bytes() for photo in photos]
    said = home.maclip("undo").stdout
    assert "2 photos hold copies of maclip's stars" in said
    assert [photo.read_bytes() for photo in photos] == copied
    assert [Packet.of(photo).stars for photo in photos[:2]] != [None, None]
    home.maclip("adopt", home.photos)
    home.maclip("undo")
    for photo, with_copy in zip(photos[:2], copied, strict=False):
        packet = Packet.of(photo)
        assert (packet.stars, packet.rating, packet.text("digiKam:ColorLabel")) == (None, None, "4")
        assert Image.open(photo).tobytes() == Image.open(BytesIO(with_copy)).tobytes()
    assert photos[2].read_bytes() == untouched
    assert not list(home.photos.glob("*.xmp"))
