"""What is copied into a sidecar follows its photo; undo agrees with its dry run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyexiv2

from tests.homes import Home, contents, make_photos


def xmp_of(sidecar: Path) -> dict[str, object]:
    with pyexiv2.ImageData(sidecar.read_bytes()) as image:
        return dict(image.read_xmp())


def exiftool(*arguments: str | Path) -> None:
    subprocess.run(["exiftool", "-q", "-overwrite_original", *arguments], check=True)


def test_a_later_title_arrives_and_another_photo_of_the_same_name_has_nothing_of_the_first(
    home: Home,
) -> None:
    *photos, other = make_photos(home.photos, 7)
    spare = home.folder / "other.jpg"
    other.rename(spare)
    for photo in photos[:2]:
        exiftool("-Artist=Anna", "-GPSLatitude=52.5", "-GPSLatitudeRef=N", "-XMP-dc:Title=Lake", photo)
    exiftool("-Artist=Otto", spare)
    before = contents(home.photos)
    home.maclip("run", "--once", home.photos)
    sidecars = [Path(f"{photo}.xmp") for photo in photos]
    assert xmp_of(sidecars[0])["Xmp.dc.creator"] == ["Anna"]
    exiftool("-XMP-photoshop:Instructions=mine", sidecars[1])

    photos[0].write_bytes(spare.read_bytes())
    exiftool("-XMP-dc:Title=New", photos[1], photos[2])
    changed = {photo: photo.read_bytes() for photo in photos[:3]}
    home.maclip("run", "--once", home.photos)
    first, second, third = (xmp_of(sidecar) for sidecar in sidecars[:3])
    assert first["Xmp.dc.creator"] == ["Otto"]
    assert not {"Xmp.dc.title", "Xmp.exif.GPSLatitude"} & first.keys()
    for values in (second, third):
        assert values["Xmp.dc.title"] == {'lang="x-default"': "New"}
    assert second["Xmp.photoshop.Instructions"] == "mine"
    assert home.sql("select distinct rating_owner from photos") == [("maclip",)]

    as_it_is = contents(home.photos)
    would = home.maclip("undo", "--dry-run")
    assert contents(home.photos) == as_it_is
    assert would.stdout.split() == [str(sidecar) for sidecar in sidecars]
    done = home.maclip("undo")
    assert would.stderr == f"This would be the result: {done.stdout}"
    after = contents(home.photos)
    kept = xmp_of(sidecars[1])
    assert kept["Xmp.photoshop.Instructions"] == "mine"
    assert not [key for key in kept if "maclip" in key or key == "Xmp.xmp.Rating"]
    del after[sidecars[1]]
    assert after == before | changed
    assert home.maclip("undo").stdout == "Nothing to undo.\n"
