"""The parts of a sidecar that maclip copied follow the photo; what others added or changed stays."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyexiv2
import pytest
from metadata_samples import QUALITY, MakePhoto, accepted, xmp_of

from maclip_daemon.errors import MaclipError
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.content import exiv2_tags
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import verdict
from maclip_daemon.metadata.writing import commit_write
from maclip_daemon.metadata.writing.undo_file import undo

TITLE, CREATOR, TAGS = "Xmp.dc.title", "Xmp.dc.creator", "Xmp.dc.subject"
FIRST = "jpeg:" + 32 * "a1"
SECOND = "jpeg:" + 32 * "b2"
OF_ANNA = {
    "Exif.Image.Artist": "Anna",
    "Exif.Image.ImageDescription": "at Anna's lake",
    "Exif.GPSInfo.GPSLatitudeRef": "N",
    "Exif.GPSInfo.GPSLatitude": "52/1 30/1 0/1",
    "Xmp.dc.title": {'lang="x-default"': "Lake"},
    "Xmp.photoshop.City": "Kiel",
    "Xmp.iptcExt.PersonInImage": ["Anna", "Bea"],
}


def prepare(request: RatingRequest) -> Prepared:
    result = metadata_process.prepare_many([request])[0]
    if isinstance(result, MaclipError):
        raise result
    return result


def write(request: RatingRequest) -> Prepared:
    prepared = accepted(prepare(request))
    assert commit_write.commit_many([prepared]) == [None]
    return prepared


def rated(photo: Path, **changes: Any) -> tuple[RatingRequest, Path]:
    request = replace(RatingRequest(photo, QUALITY, pixel_hash=FIRST, library_id="0123abcd"), **changes)
    write(request)
    return replace(request, last_written=request.rating), Path(f"{photo}.xmp")


def edit(file: Path, changes: dict[str, Any]) -> None:
    """Change a sidecar as darktable and digiKam do, through exiv2."""
    file.write_bytes(exiv2_tags.change_sidecar(file.read_bytes(), changes))


def retag(photo: Path, changes: dict[str, Any]) -> None:
    """Change the metadata in a photo; a second later, as a person is no faster."""
    with pyexiv2.ImageData(photo.read_bytes()) as image:
        image.modify_xmp({key: value for key, value in changes.items() if key.startswith("Xmp")})
        image.modify_exif({key: value for key, value in changes.items() if key.startswith("Exif")})
        photo.write_bytes(image.get_bytes())
    os.utime(photo, ns=(1, photo.stat().st_mtime_ns + 10**9))


def test_a_title_that_the_photo_gets_later_arrives_in_the_sidecar(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    retag(photo, {TITLE: {'lang="x-default"': "New", 'lang="de-DE"': "Neu"}, "Xmp.photoshop.City": None})
    write(request)
    values = xmp_of(sidecar)
    assert values[TITLE] == {'lang="x-default"': "New", 'lang="de-DE"': "Neu"}
    assert "Xmp.photoshop.City" not in values
    assert values[CREATOR] == ["Anna"]
    assert values["Xmp.iptcExt.PersonInImage"] == ["Anna", "Bea"]
    assert prepare(request).status == "unchanged"


def test_exiftool_gives_a_photo_its_first_title(make_photo: MakePhoto) -> None:
    photo = make_photo()
    request, sidecar = rated(photo)
    subprocess.run(["exiftool", "-q", "-overwrite_original", "-XMP-dc:Title=New", photo], check=True)
    write(request)
    assert xmp_of(sidecar)[TITLE] == {'lang="x-default"': "New"}
    found = verdict.inspect(photo, None)
    assert found.proof is not None
    assert found.proof.is_whole


def test_another_photo_of_the_same_name_has_nothing_of_the_first_in_its_sidecar(
    make_photo: MakePhoto,
) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo, bucket_tags=True)
    make_photo(seed=2, tags={"Exif.Image.Artist": "Otto"})
    os.utime(photo, ns=(1, photo.stat().st_mtime_ns + 10**9))
    write(replace(request, pixel_hash=SECOND, quality=replace(QUALITY, stars=2)))
    values = xmp_of(sidecar)
    assert values[CREATOR] == ["Otto"]
    of_others = {key for key in values if not key.startswith("Xmp.maclip.")}
    assert of_others == {CREATOR, "Xmp.xmp.Rating", "Xmp.lr.hierarchicalSubject", "Xmp.digiKam.TagsList"} | {
        key for key in of_others if key in ("Xmp.dc.subject",)
    }
    assert "Anna" not in sidecar.read_text()
    assert "Lake" not in sidecar.read_text()
    found = verdict.inspect(photo, None)
    assert found.proof is not None
    assert (found.proof.pixel_hash, found.proof.is_whole) == (SECOND, True)


@pytest.mark.parametrize(
    ("theirs", "of_photo"),
    [
        ({TITLE: {'lang="x-default"': "Theirs"}}, {TITLE: {'lang="x-default"': "New"}}),
        ({TITLE: {'lang="x-default"': "Lake", 'lang="de-DE"': "See"}}, {TITLE: {'lang="x-default"': "New"}}),
        ({TITLE: None}, {TITLE: {'lang="x-default"': "New"}}),
        ({TAGS: ["Theirs"]}, {TAGS: ["New"]}),
        ({CREATOR: ["Theirs"]}, {"Exif.Image.Artist": "New"}),
        ({"Xmp.photoshop.Instructions": "Theirs"}, {"Xmp.photoshop.Instructions": "New"}),
    ],
)
def test_what_others_changed_added_or_removed_stays(
    make_photo: MakePhoto, theirs: dict[str, Any], of_photo: dict[str, Any]
) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    edit(sidecar, theirs)
    retag(photo, {**of_photo, "Xmp.photoshop.Headline": "of the photo"})
    write(request)
    for _ in range(2):  # and the second time too
        values = xmp_of(sidecar)
        assert values["Xmp.photoshop.Headline"] == "of the photo"
        for key, value in theirs.items():
            assert values.get(key) == value
        retag(photo, {**of_photo, "Xmp.photoshop.State": "one more"})
        if prepare(request).status == "prepared":
            write(request)
    assert xmp_of(sidecar)["Xmp.photoshop.State"] == "one more"


def test_an_edit_history_beside_the_copied_parts_stays_as_it_is(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    history = (
        '<darktable:history xmlns:darktable="http://darktable.sf.net/"><rdf:Seq>'
        '<rdf:li darktable:num="0" darktable:operation="exposure" darktable:params="00ff"/>'
        '<rdf:li darktable:num="1" darktable:operation="flip" darktable:multi_name=""/>'
        "</rdf:Seq></darktable:history>"
        '<darktable:masks_history xmlns:darktable="http://darktable.sf.net/"><rdf:Seq/></darktable:masks_history>'
    )
    text = sidecar.read_text()
    sidecar.write_text(text.replace("</rdf:Description>", f"{history}</rdf:Description>"))
    before = {key: value for key, value in xmp_of(sidecar).items() if "darktable" in key}
    assert len(before) > 5
    retag(photo, {TITLE: {'lang="x-default"': "New"}})
    write(request)
    assert xmp_of(sidecar)[TITLE] == {'lang="x-default"': "New"}
    assert {key: value for key, value in xmp_of(sidecar).items() if "darktable" in key} == before
    assert "masks_history" in sidecar.read_text()


def test_a_photo_with_a_new_time_and_the_same_metadata_writes_nothing(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    before = sidecar.read_bytes()
    os.utime(photo, ns=(1, photo.stat().st_mtime_ns + 10**9))
    assert prepare(request).status == "unchanged"
    assert sidecar.read_bytes() == before


def test_tags_of_the_photo_and_bucket_tags_go_together(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={TAGS: ["Sea"]})
    request, sidecar = rated(photo, bucket_tags=True)
    retag(photo, {TAGS: ["Sea", "Boat"]})
    write(request)
    values = xmp_of(sidecar)
    assert values["Xmp.lr.hierarchicalSubject"] == ["Sea", "Boat", "quality|40-49"]
    assert values["Xmp.digiKam.TagsList"] == ["Sea", "Boat", "quality/40-49"]
    assert values[TAGS] == ["Sea", "Boat", "quality|40-49"]


def test_bucket_tags_that_come_later_leave_the_sidecar_wholly_ours(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={TAGS: ["Sea"]})
    request, _ = rated(photo)
    write(replace(request, bucket_tags=True))
    found = verdict.inspect(photo, None)
    assert found.proof is not None
    assert found.proof.is_whole


def test_undo_gives_back_the_earlier_bytes(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    before = sidecar.read_bytes()
    retag(photo, {TITLE: {'lang="x-default"': "New"}})
    entry = write(request).undo_entry
    assert undo(entry).status == "restored"
    assert sidecar.read_bytes() == before


def test_a_sidecar_of_others_never_follows_the_photo(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=OF_ANNA)
    sidecar = Path(f"{photo}.xmp")
    with pyexiv2.ImageData(photo.read_bytes()) as image:
        image.modify_xmp({"Xmp.photoshop.City": None})
        theirs = image.read_raw_xmp()
    sidecar.write_text(theirs)
    request, _ = rated(photo)
    retag(photo, {TITLE: {'lang="x-default"': "New"}})
    assert prepare(request).status == "unchanged"


def test_a_photo_whose_metadata_can_no_longer_be_read_takes_nothing_out(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    photo.write_bytes(b"\xff\x0a a bare codestream, of a kind that exiv2 does not know")
    os.utime(photo, ns=(1, photo.stat().st_mtime_ns + 10**9))
    result = prepare(request)
    if result.status == "prepared":
        commit_write.commit_many([result])
    assert xmp_of(sidecar)[CREATOR] == ["Anna"]


@pytest.mark.parametrize("stars", ["5", "0"])
def test_a_sidecar_that_a_person_rated_does_not_hide_the_photos_new_title(
    make_photo: MakePhoto, stars: str
) -> None:
    photo = make_photo(tags=OF_ANNA)
    request, sidecar = rated(photo)
    edit(sidecar, {"Xmp.xmp.Rating": stars, "Xmp.photoshop.Instructions": "Theirs"})
    theirs = xmp_of(sidecar)
    as_rated = sidecar.read_bytes()
    assert prepare(request).status == "person"
    retag(photo, {TITLE: {'lang="x-default"': "New"}})
    prepared = write(request)
    assert (prepared.owner, prepared.rating) == ("person", int(stars))
    values = xmp_of(sidecar)
    changed = {key for key in theirs.keys() | values.keys() if theirs.get(key) != values.get(key)}
    assert changed == {TITLE, "Xmp.maclip.Seed"}
    assert values[TITLE] == {'lang="x-default"': "New"}
    found = verdict.inspect(photo, None)
    assert (found.owner, found.rating) == ("person", int(stars))
    assert prepare(request).status == "person"
    assert undo(prepared.undo_entry).status == "restored"
    assert sidecar.read_bytes() == as_rated
