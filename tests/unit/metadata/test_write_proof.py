from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from metadata_samples import DIGIKAM_SIDECAR, QUALITY, MakePhoto, accepted, xmp_of

from maclip_daemon.errors import MaclipError
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.content import exiv2_tags
from maclip_daemon.metadata.records import FoundRating, Mode, Prepared, RatingRequest, WriteProof
from maclip_daemon.metadata.sidecars import verdict, write_proof
from maclip_daemon.metadata.writing import commit_write

R, S, P = "Xmp.xmp.Rating", "Xmp.maclip.Stars", "Xmp.maclip.Proof"
PHOTO_HASH = "jpeg:" + 32 * "a1"


def request_for(photo: Path, mode: Mode = "sidecar", **changes: Any) -> RatingRequest:
    return replace(RatingRequest(photo, QUALITY, mode, None, False, False, PHOTO_HASH, "0123abcd"), **changes)


def prepare(request: RatingRequest) -> Prepared:
    result = metadata_process.prepare_many([request])[0]
    if isinstance(result, MaclipError):
        raise result
    return result


def write(request: RatingRequest) -> Path:
    prepared = accepted(prepare(request))
    assert commit_write.commit_many([prepared]) == [None]
    assert prepared.target is not None
    return prepared.target


def found(photo: Path) -> FoundRating:
    """Read the rating as a library does that never wrote it."""
    return verdict.inspect(photo, last_written=None)


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_any_library_recognises_an_unedited_write(make_photo: MakePhoto, mode: Mode) -> None:
    photo = make_photo(tags={"Xmp.dc.title": {'lang="x-default"': "T"}, "Exif.Image.Artist": "Anna"})
    write(request_for(photo, mode))
    seen = found(photo)
    assert (seen.owner, seen.rating, seen.stars) == ("maclip", 4, 4)
    assert seen.proof == WriteProof(4, PHOTO_HASH, "0123abcd", is_whole=mode == "sidecar")


def test_a_rejected_photo_has_a_proof_too(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(request_for(photo, reject=True))
    assert found(photo).proof == WriteProof(-1, PHOTO_HASH, "0123abcd", is_whole=True)


@pytest.mark.parametrize(
    "edit",
    [
        {R: "2"},
        {R: "0"},
        {R: None},
        {R: "4.5"},
        {S: "2"},
        {R: "2", S: "2"},
        {"Xmp.maclip.Score": "0.9"},
        {"Xmp.maclip.Model": "other"},
        {"Xmp.maclip.ScoredAt": None},
        {"Xmp.maclip.PixelHash": "jpeg:" + 32 * "b2"},
        {"Xmp.maclip.PixelHash": None},
        {"Xmp.maclip.Library": "0123abce"},
        {"Xmp.maclip.Seed": ["dc:title 0123456789abcdef"]},
        {"Xmp.maclip.Note": "mine"},
        {P: None},
        {P: 64 * "0"},
        {P: ""},
    ],
)
def test_a_change_of_the_rating_or_of_our_properties_breaks_the_proof(
    make_photo: MakePhoto, edit: dict[str, Any]
) -> None:
    photo = make_photo()
    sidecar = write(request_for(photo))
    sidecar.write_bytes(exiv2_tags.change_sidecar(sidecar.read_bytes(), edit))
    seen = found(photo)
    assert seen.proof is None
    assert seen.owner != "maclip"


@pytest.mark.parametrize("field", ["Xmp.acdsee.rating", "Xmp.MicrosoftPhoto.Rating"])
def test_a_star_in_another_field_is_a_persons_beside_a_proof(make_photo: MakePhoto, field: str) -> None:
    photo = make_photo()
    sidecar = write(request_for(photo))
    sidecar.write_bytes(exiv2_tags.change_sidecar(sidecar.read_bytes(), {field: "1"}))
    assert (found(photo).owner, found(photo).proof) == ("person", None)


def as_elements(data: bytes) -> bytes:
    """Write each attribute as an element, in the opposite order, and ours under another prefix."""
    text = data.decode()
    attributes = re.findall(r'\s((?:maclip|xmp):\w+)="([^"]*)"', text)
    for name, value in attributes:
        text = re.sub(rf'\s+{name}="{re.escape(value)}"', "", text)
    elements = "".join(f"<{name}>{value}</{name}>" for name, value in reversed(attributes))
    if "/>" in re.search(r"<rdf:Description[^>]*>", text).group():  # type: ignore[union-attr]
        text = re.sub(r"(<rdf:Description[^>]*)/>", rf"\1>{elements}</rdf:Description>", text)
    else:
        text = re.sub(r"(<rdf:Description[^>]*>)", rf"\1{elements}", text, count=1)
    assert f"<maclip:Stars>{4}</maclip:Stars>" in text
    return text.replace("maclip:", "ns7:").replace("xmlns:maclip=", "xmlns:ns7=").encode()


def through_exiv2(data: bytes) -> bytes:
    """Write it as darktable and digiKam do, with a property of their own."""
    changed = exiv2_tags.change_sidecar(data, {"Xmp.photoshop.Instructions": "x", R: None})
    return exiv2_tags.change_sidecar(changed, {"Xmp.photoshop.Instructions": None, R: "4"})


def with_spelled_rating(data: bytes) -> bytes:
    return data.replace(b'xmp:Rating="4"', b'xmp:Rating="4.0"')


def with_byte_order_mark(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


@pytest.mark.parametrize("rewrite", [as_elements, through_exiv2, with_spelled_rating, with_byte_order_mark])
def test_a_file_that_another_program_wrote_again_keeps_the_proof(
    make_photo: MakePhoto, rewrite: Callable[[bytes], bytes]
) -> None:
    photo = make_photo(tags={"Xmp.dc.title": {'lang="x-default"': "T"}, "Xmp.dc.subject": ["Sea", "Boat"]})
    sidecar = write(request_for(photo))
    changed = rewrite(sidecar.read_bytes())
    assert changed != sidecar.read_bytes()
    sidecar.write_bytes(changed)
    assert (found(photo).owner, found(photo).proof) == (
        "maclip",
        WriteProof(4, PHOTO_HASH, "0123abcd", is_whole=True),
    )


def test_exiftool_keeps_the_proof_of_a_sidecar_and_of_a_photo(make_photo: MakePhoto) -> None:
    for name, mode in (("IMG_1.jpg", "sidecar"), ("IMG_2.jpg", "embed")):
        photo = make_photo(name, tags={"Xmp.dc.subject": ["Sea"]})
        file = write(request_for(photo, mode))  # type: ignore[arg-type]
        subprocess.run(
            ["exiftool", "-q", "-overwrite_original", "-XMP-photoshop:Instructions=x", file], check=True
        )
        proof = found(photo).proof
        assert proof == WriteProof(4, PHOTO_HASH, "0123abcd", is_whole=False)


def test_a_sidecar_with_anything_of_others_is_not_wholly_ours(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Xmp.dc.title": {'lang="x-default"': "T"}, "Xmp.dc.creator": ["Anna"]})
    sidecar = write(request_for(photo))
    ours = sidecar.read_bytes()
    edits: list[dict[str, Any]] = [
        {"Xmp.dc.title": {'lang="x-default"': "U"}},
        {"Xmp.dc.title": {'lang="x-default"': "T", 'lang="de-DE"': "U"}},
        {"Xmp.dc.creator": ["Anna", "Bea"]},
        {"Xmp.dc.subject": ["Sea"]},
        {"Xmp.photoshop.Instructions": "x"},
    ]
    for edit in edits:
        sidecar.write_bytes(exiv2_tags.change_sidecar(ours, edit))
        proof = found(photo).proof
        assert proof is not None, edit
        assert not proof.is_whole, edit
    sidecar.write_bytes(exiv2_tags.change_sidecar(ours, {"Xmp.dc.title": None}))
    assert found(photo).proof == WriteProof(4, PHOTO_HASH, "0123abcd", is_whole=True)


def test_bucket_tags_are_ours(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Xmp.dc.subject": ["Sea"]})
    sidecar = write(request_for(photo, bucket_tags=True))
    assert xmp_of(sidecar)["Xmp.lr.hierarchicalSubject"] == ["Sea", "quality|40-49"]
    seen = found(photo)
    assert seen.proof is not None
    assert seen.proof.is_whole


def test_a_sidecar_that_was_there_is_never_wholly_ours(make_photo: MakePhoto) -> None:
    photo = make_photo()
    photo.with_name("IMG_1.jpg.xmp").write_bytes(DIGIKAM_SIDECAR)
    write(request_for(photo))
    assert found(photo).proof == WriteProof(4, PHOTO_HASH, "0123abcd", is_whole=False)


def test_a_proof_of_other_pixels_is_ours_and_is_written_anew(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(request_for(photo))
    other = "jpeg:" + 32 * "b2"
    write(request_for(photo, pixel_hash=other, quality=replace(QUALITY, stars=2)))
    assert found(photo).proof == WriteProof(2, other, "0123abcd", is_whole=True)


def test_an_export_that_carries_our_rating_of_its_original_is_rated(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(request_for(photo, "embed"))
    sidecar = write(request_for(photo, pixel_hash="jpeg:" + 32 * "b2", quality=replace(QUALITY, stars=2)))
    assert sidecar == photo.with_name("IMG_1.jpg.xmp")
    assert found(photo).rating == 2


def test_another_library_with_the_same_score_writes_nothing(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(request_for(photo))
    later = replace(QUALITY, scored_at=QUALITY.scored_at.replace(year=2027), percentile=7.0)
    theirs = request_for(photo, quality=later, library_id="77777777")
    assert prepare(theirs).status == "unchanged"
    assert prepare(replace(theirs, pixel_hash=None)).status == "unchanged"
    assert prepare(replace(theirs, quality=replace(later, score=0.7))).status == "prepared"
    assert prepare(replace(theirs, pixel_hash="jpeg:" + 32 * "b2")).status == "prepared"


def test_a_missing_proof_is_added_when_the_photo_is_rated_anyway(make_photo: MakePhoto) -> None:
    photo = make_photo()
    sidecar = write(request_for(photo))
    names = ("Proof", "PixelHash", "Library", "Seed")
    earlier = exiv2_tags.change_sidecar(sidecar.read_bytes(), {f"Xmp.maclip.{name}": None for name in names})
    sidecar.write_bytes(earlier)
    assert found(photo).owner == "person"  # without the journal nobody can tell
    write(request_for(photo, last_written=4))
    assert found(photo).proof == WriteProof(4, PHOTO_HASH, "0123abcd", is_whole=False)


def test_different_values_never_have_the_same_canonical_text() -> None:
    chance = random.Random(7)
    pieces = [
        "a",
        "b",
        "",
        ",",
        '"',
        "\\",
        ":",
        "[",
        "]",
        "{",
        "}",
        "Stars",
        "Xmp.maclip.",
        "\u2028",
        "é",
        "4",
    ]

    def text() -> str:
        return "".join(chance.choices(pieces, k=chance.randrange(4)))

    seen: dict[str, dict[str, object]] = {}
    for _ in range(20_000):  # xmp:Rating has one text for each of its spellings; these are none of a number
        values: dict[str, object] = {
            f"Xmp.maclip.{text() or 'x'}": text() if chance.random() < 0.5 else sorted({text(), text()})
            for _ in range(chance.randrange(3))
        }
        values = {key: value for key, value in values.items() if not key.endswith((".Proof", ".Percentile"))}
        values[R] = "r" + text()
        known = seen.setdefault(write_proof.canonical_text(values), values)
        assert known == values
    assert len(seen) > 10_000


def test_the_percentile_is_no_part_of_the_proof(make_photo: MakePhoto) -> None:
    photo = make_photo()
    sidecar = write(request_for(photo))
    sidecar.write_bytes(exiv2_tags.change_sidecar(sidecar.read_bytes(), {"Xmp.maclip.Percentile": "9.00"}))
    assert found(photo).owner == "maclip"


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
def test_reasons_are_written_with_a_score_and_alone_rewrite_no_file(
    make_photo: MakePhoto, mode: Mode
) -> None:
    photo = make_photo()
    before = photo.read_bytes()
    reasons = ("not sharp anywhere at 100 %: 4.1 px blur", "highlights clipped: 12 %")
    told = replace(QUALITY, reasons=reasons)
    target = write(request_for(photo, mode, quality=told))
    assert xmp_of(target)["Xmp.maclip.Reasons"] == list(reasons)
    assert found(photo).proof is not None
    for other in (QUALITY, replace(QUALITY, reasons=("noise: 12 of 255 grey levels at 100 %",))):
        again = prepare(request_for(photo, mode, last_written=4, quality=other))
        assert again.status == "unchanged"
    write(request_for(photo, mode, last_written=4, quality=replace(QUALITY, score=0.9)))
    assert "Xmp.maclip.Reasons" not in xmp_of(target)
    assert mode == "embed" or photo.read_bytes() == before


def test_a_file_of_an_earlier_version_is_not_rewritten_for_its_reasons(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(request_for(photo))
    told = replace(QUALITY, reasons=("highlights clipped: 12 %",))
    assert prepare(request_for(photo, last_written=4, quality=told)).status == "unchanged"
