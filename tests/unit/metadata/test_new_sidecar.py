"""FACTS of both applications: a sidecar replaces the embedded metadata, so it must start with all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from metadata_samples import QUALITY, MakePhoto, accepted, with_packet, xmp_of

from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import verdict
from maclip_daemon.metadata.writing import commit_write

EMBEDDED = {
    "Xmp.dc.title": {'lang="x-default"': "Hafen", 'lang="fr-FR"': "Le port"},
    "Xmp.dc.subject": ["Boote", "Kräne"],
    "Xmp.lr.hierarchicalSubject": ["Orte|Hafen"],
    "Xmp.digiKam.TagsList": ["Orte/Hafen"],
    "Xmp.xmp.Label": "Red",
    "Xmp.xmpMM.DocumentID": "uuid:1",
    "Exif.Image.Artist": "Anna Ernst",
    "Exif.Image.Copyright": "(c) Anna",
    "Exif.Image.ImageDescription": "from EXIF",
    "Exif.Image.Make": "ACME",
    "Exif.Image.Model": "One",
    "Exif.Image.Orientation": "6",
    "Exif.Image.Software": "firmware 1",
    "Exif.Photo.DateTimeOriginal": "2024:05:06 07:08:09",
    "Exif.GPSInfo.GPSLatitudeRef": "N",
    "Exif.GPSInfo.GPSLatitude": "52/1 30/1 0/1",
    "Exif.GPSInfo.GPSLongitudeRef": "E",
    "Exif.GPSInfo.GPSLongitude": "13/1 15/1 0/1",
    "Iptc.Application2.Caption": "from IPTC",
    "Iptc.Application2.City": "Kiel",
    "Iptc.Application2.Keywords": ["iptc word", "another"],
}


def create(photo: Path) -> tuple[dict[str, object], Prepared]:
    prepared = accepted(metadata_process.prepare_many([RatingRequest(photo, QUALITY)])[0])  # type: ignore[arg-type]
    assert commit_write.commit_many([prepared]) == [None]
    assert prepared.target is not None
    return xmp_of(prepared.target), prepared


def test_a_new_sidecar_holds_all_of_the_photos_own_xmp(make_photo: MakePhoto) -> None:
    photo = make_photo(tags=EMBEDDED)
    embedded = xmp_of(photo)
    sidecar, prepared = create(photo)
    assert embedded
    assert {key: sidecar[key] for key in embedded} == embedded
    assert sidecar["Xmp.xmp.Rating"] == "4"
    assert prepared.notes == ()


def test_title_creator_copyright_place_date_and_camera_come_from_iptc_and_exif(make_photo: MakePhoto) -> None:
    sidecar, _ = create(make_photo(tags={k: v for k, v in EMBEDDED.items() if not k.startswith("Xmp")}))
    assert sidecar["Xmp.dc.creator"] == ["Anna Ernst"]
    assert sidecar["Xmp.dc.rights"] == {'lang="x-default"': "(c) Anna"}
    assert sidecar["Xmp.dc.subject"] == ["iptc word", "another"]
    assert sidecar["Xmp.photoshop.City"] == "Kiel"
    assert sidecar["Xmp.tiff.Make"] == "ACME"
    assert sidecar["Xmp.tiff.Model"] == "One"
    assert str(sidecar["Xmp.photoshop.DateCreated"]).startswith("2024-05-06T07:08:09")
    assert str(sidecar["Xmp.exif.GPSLatitude"]).startswith("52,30")
    assert str(sidecar["Xmp.exif.GPSLongitude"]).startswith("13,15")


def test_xmp_wins_over_iptc_and_iptc_over_exif(make_photo: MakePhoto) -> None:
    sidecar, _ = create(make_photo(tags=EMBEDDED))
    assert sidecar["Xmp.dc.subject"] == ["Boote", "Kräne"]
    assert sidecar["Xmp.dc.description"] == {'lang="x-default"': "from IPTC"}


def test_the_user_comment_is_the_description_where_there_is_no_better_one(make_photo: MakePhoto) -> None:
    comment = {"Exif.Photo.UserComment": "charset=Ascii by the lake", "Exif.Image.ImageDescription": "CAMERA"}
    sidecar, _ = create(make_photo(tags=comment))
    assert sidecar["Xmp.dc.description"] == {'lang="x-default"': "by the lake"}
    sidecar, _ = create(make_photo("b.jpg", tags=comment | {"Iptc.Application2.Caption": "from IPTC"}))
    assert sidecar["Xmp.dc.description"] == {'lang="x-default"': "from IPTC"}


def test_orientation_stays_with_the_photo_alone(make_photo: MakePhoto) -> None:
    sidecar, _ = create(make_photo(tags=EMBEDDED))
    assert "Xmp.tiff.Orientation" not in sidecar
    assert "Xmp.tiff.Software" not in sidecar


def test_latin_1_keywords_arrive_readable(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Iptc.Application2.Keywords": ["Kraene"]})
    photo.write_bytes(photo.read_bytes().replace(b"Kraene", b"Kr\xe4ne "))
    sidecar, _ = create(photo)
    assert sidecar["Xmp.dc.subject"] == ["Kräne "]


def test_badly_encoded_exif_hides_nothing_else(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={**EMBEDDED, "Exif.Image.XPTitle": "ab"})
    photo.write_bytes(
        photo.read_bytes().replace(b"Anna Ernst", b"Ann\xe4 Ernst").replace(b"a\0b\0", b"\0\xd8\0\xd8")
    )
    sidecar, _ = create(photo)
    assert sidecar["Xmp.lr.hierarchicalSubject"] == ["Orte|Hafen"]


def test_one_impossible_entry_of_exif_hides_neither_the_title_nor_a_persons_stars(
    make_photo: MakePhoto,
) -> None:
    for tags in (EMBEDDED, {**EMBEDDED, "Xmp.xmp.Rating": "5"}):
        photo = make_photo(f"{len(tags)}.jpg", tags=tags)
        data = bytearray(photo.read_bytes())
        first_count = data.index(b"Exif\0\0") + 6 + 8 + 2 + 4
        data[first_count : first_count + 4] = b"\xff\xff\xff\x7f"
        photo.write_bytes(data)
        if "Xmp.xmp.Rating" in tags:
            found = verdict.inspect(photo, None)
            assert (found.owner, found.rating) == ("person", 5)
        else:
            sidecar, _ = create(photo)
            assert sidecar["Xmp.lr.hierarchicalSubject"] == ["Orte|Hafen"]


def test_every_kind_of_photo_gets_a_sidecar_with_its_own_metadata(make_photo: MakePhoto) -> None:
    for name in ("a.jpg", "b.png", "c.webp", "d.tif"):
        sidecar, _ = create(make_photo(name, tags={"Xmp.dc.title": {'lang="x-default"': name}}))
        assert sidecar["Xmp.dc.title"] == {'lang="x-default"': name}


def test_a_photo_that_can_hold_no_metadata_gets_a_bare_sidecar(tmp_path: Path) -> None:
    photo = tmp_path / "a.jxl"
    photo.write_bytes(b"\xff\x0a no metadata in a bare codestream")
    sidecar, prepared = create(photo)
    assert set(sidecar) == {"Xmp.xmp.Rating", *(key for key in sidecar if key.startswith("Xmp.maclip."))}
    assert "no metadata" in prepared.notes[0]


def test_the_pointer_to_extended_xmp_is_not_copied(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Xmp.dc.title": "x", "Xmp.xmp.Label": "Note"})
    data = photo.read_bytes().replace(b'xmp:Label="Note"', b'xmp:HasNote="abc"'[:16])
    assert len(data) == photo.stat().st_size
    photo.write_bytes(data)
    sidecar, _ = create(photo)
    assert "Xmp.xmpNote.HasExtendedXMP" not in sidecar


def packet_with(*properties: str) -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Mine</rdf:li></rdf:Alt></dc:title>'
        f"{''.join(properties)}</rdf:Description></rdf:RDF></x:xmpmeta>"
    )


HISTORY = (
    "<rdf:Seq><rdf:li darktable:operation='exposure' xmlns:darktable='http://darktable.sf.net/'/></rdf:Seq>"
)
STATES = {
    "darktable": ("darktable", "http://darktable.sf.net/", "history", HISTORY),
    "darktable's version": ("darktable", "http://darktable.sf.net/", "xmp_version", "5"),
    "Camera Raw": ("crs", "http://ns.adobe.com/camera-raw-settings/1.0/", "Exposure2012", "+1.00"),
    "Camera Raw, saved": ("crss", "http://ns.adobe.com/camera-raw-saved-settings/1.0/", "Snapshots", "x"),
    "Photoshop": ("photoshop", "http://ns.adobe.com/photoshop/1.0/", "History", "2026: opened"),
    "Photoshop's layers": ("photoshop", "http://ns.adobe.com/photoshop/1.0/", "DocumentAncestors", HISTORY),
    "another's sidecar": ("photoshop", "http://ns.adobe.com/photoshop/1.0/", "SidecarForExtension", "MOV"),
    "media management": ("xmpMM", "http://ns.adobe.com/xap/1.0/mm/", "History", HISTORY),
    "its original": ("xmpMM", "http://ns.adobe.com/xap/1.0/mm/", "DerivedFrom", "IMG_1.CR2"),
    "digiKam": ("digiKam", "http://www.digikam.org/ns/1.0/", "ImageHistory", "&lt;history/&gt;"),
    "RawTherapee": ("rt", "http://www.rawtherapee.com/1.0/", "Exposure", "1"),
    "Capture One": ("c1", "http://ns.captureone.com/adjust/1.0/", "Exposure", "1"),
    "DxO": ("dxo", "http://ns.dxo.com/photolab/1.0/", "Settings", "1"),
    "ON1": ("on1", "http://ns.on1.com/on1/1.0/", "Settings", "1"),
    "Apple": ("aas", "http://ns.apple.com/adjustment-settings/1.0/", "CurveX", "1"),
    "a program of tomorrow": ("tom", "https://example.org/tomorrow/edit-settings/2.0/", "Exposure", "1"),
}


@pytest.mark.parametrize("program", STATES)
def test_the_edits_of_other_programs_stay_in_the_photo(make_photo: MakePhoto, program: str) -> None:
    prefix, namespace, name, value = STATES[program]
    photo = make_photo()
    packet = packet_with(f'<{prefix}:{name} xmlns:{prefix}="{namespace}">{value}</{prefix}:{name}>')
    photo.write_bytes(with_packet(photo.read_bytes(), packet))
    assert any(name in key for key in xmp_of(photo))
    sidecar, prepared = create(photo)
    assert sidecar["Xmp.dc.title"] == {'lang="x-default"': "Mine"}
    assert not [key for key in sidecar if name in key]
    assert prepared.notes == ()


def test_the_labels_that_a_person_gave_in_darktable_are_copied(make_photo: MakePhoto) -> None:
    photo = make_photo()
    labels = "<rdf:Seq><rdf:li>0</rdf:li><rdf:li>3</rdf:li></rdf:Seq>"
    packet = packet_with(
        f'<darktable:colorlabels xmlns:darktable="http://darktable.sf.net/">{labels}</darktable:colorlabels>',
        f'<darktable:history xmlns:darktable="http://darktable.sf.net/">{HISTORY}</darktable:history>',
        '<m:mine xmlns:m="http://example.org/my/history-of-art/">Klimt</m:mine>',
        '<w:words xmlns:w="http://anselm.example/editorial/">by me</w:words>',
    )
    photo.write_bytes(with_packet(photo.read_bytes(), packet))
    sidecar, _ = create(photo)
    assert sidecar["Xmp.darktable.colorlabels"] == ["0", "3"]
    assert [value for key, value in sidecar.items() if key.endswith((".mine", ".words"))] == [
        "Klimt",
        "by me",
    ]
    assert not [key for key in sidecar if "history" in key]
