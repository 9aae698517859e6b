"""Photos whose metadata exiv2 does not read: what a person did there is neither lost nor hidden."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
from pathlib import Path

import pillow_heif
import pytest
from metadata_samples import QUALITY, MakePhoto, pixels, xmp_of
from PIL import ExifTags, Image

from maclip_daemon.errors import MaclipError, Transient
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.content import exiv2_tags, second_reader, xmp_repair, xmp_text
from maclip_daemon.metadata.records import Prepared, RatingRequest

has_exiftool = pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
RATED = 'xmp:Rating="5"'
TITLE = '<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt></dc:title>'
CREATOR = "<dc:creator><rdf:Seq><rdf:li>Anna</rdf:li></rdf:Seq></dc:creator>"
SUBJECT = "<dc:subject><rdf:Bag><rdf:li>Sea</rdf:li></rdf:Bag></dc:subject>"
WORDS = TITLE.format("Title") + CREATOR + SUBJECT
DESCRIPTION = (
    '<rdf:Description rdf:about="{}" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" {}>{}</rdf:Description>'
)


def packet(content: str = WORDS, attributes: str = "", about: str = "", further: str = "") -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"{DESCRIPTION.format(about, attributes, content)}{further}</rdf:RDF></x:xmpmeta>"
    )


def jpeg_with(photo: Path, *packets: bytes, extension: bytes = b"", exif: Image.Exif | None = None) -> Path:
    """Write a JPEG with these XMP packets in segments of their own."""
    buffer = io.BytesIO()
    pixels(3).save(buffer, "JPEG", exif=exif or Image.Exif())
    data = buffer.getvalue()
    contents = [b"http://ns.adobe.com/xap/1.0/\0" + each for each in packets]
    if extension:
        head = b"http://ns.adobe.com/xmp/extension/\0" + GUID.encode()
        contents.append(head + len(extension).to_bytes(4) + bytes(4) + extension)
    segments = b"".join(b"\xff\xe1" + (len(each) + 2).to_bytes(2) + each for each in contents)
    photo.write_bytes(data[:2] + segments + data[2:])
    return photo


GUID = "D7BACEDE5921C24A0676E681E6604155"
HAS_EXTENSION = f'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{GUID}"'
OTHER = DESCRIPTION.format("uuid:other", 'xmp:Label="Red"', "")


def prepare(photo: Path) -> Prepared:
    result = metadata_process.prepare_many([RatingRequest(photo, QUALITY)])[0]
    assert not isinstance(result, MaclipError), result
    return result


def without_exiftool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_reader, "PROGRAM", "no-such-program")


# Each is (packets, extension): sound for a person, and more than exiv2 reads.
MENDED = {
    "latin-1": ([packet(TITLE.format("Grüße") + CREATOR + SUBJECT, RATED).encode("latin-1")], b""),
    "bare ampersand": ([packet(TITLE.format("A & B") + CREATOR + SUBJECT, RATED).encode()], b""),
    "control character": ([packet(TITLE.format("A\x0bB") + CREATOR + SUBJECT, RATED).encode()], b""),
    "mixed about": ([packet(WORDS, RATED, about="uuid:one", further=OTHER).encode()], b""),
    "utf-16": ([packet(WORDS, RATED).encode("utf-16")], b""),
}
BY_EXIFTOOL = {
    "two packets": ([packet().encode(), packet("", RATED).encode()], b""),
    "two packets, rated first": ([packet("", RATED).encode(), packet().encode()], b""),
    "extended": ([packet("", HAS_EXTENSION).encode()], packet(WORDS, RATED).encode()),
    "unbound prefix": ([packet(WORDS, f'{RATED} foo:bar="1"').encode()], b""),
    "attribute twice": ([packet(WORDS, f"{RATED} {RATED}").encode()], b""),
}
UNREADABLE = {
    "cut off": ([packet(WORDS, RATED).encode()[:-60]], b""),
    "no rating either": ([packet().encode()[:-60]], b""),
}


@pytest.mark.parametrize("kind", [*MENDED, *(pytest.param(kind, marks=has_exiftool) for kind in BY_EXIFTOOL)])
def test_a_persons_stars_in_odd_xmp_are_theirs(tmp_path: Path, kind: str) -> None:
    packets, extension = (MENDED | BY_EXIFTOOL)[kind]
    photo = jpeg_with(tmp_path / "a.jpg", *packets, extension=extension)
    outcome = prepare(photo)
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 5), outcome.reason


@pytest.mark.parametrize("kind", [*MENDED, *(pytest.param(kind, marks=has_exiftool) for kind in BY_EXIFTOOL)])
def test_a_new_sidecar_holds_title_creator_and_tags_of_odd_xmp(tmp_path: Path, kind: str) -> None:
    packets, extension = (MENDED | BY_EXIFTOOL)[kind]
    unrated = [each.replace(RATED.encode(), b"") for each in packets]
    if kind == "utf-16":
        unrated = [packet().encode("utf-16")]
    extension = extension.replace(RATED.encode(), b"")
    photo = jpeg_with(tmp_path / "a.jpg", *unrated, extension=extension)
    outcome = prepare(photo)
    assert outcome.status == "prepared", outcome.reason
    assert outcome.temporary is not None
    seeded = xmp_of(outcome.temporary)
    titles = {"latin-1": "Grüße", "bare ampersand": "A & B", "control character": "AB"}
    assert seeded["Xmp.dc.title"] == {'lang="x-default"': titles.get(kind, "Title")}
    assert seeded["Xmp.dc.creator"] == ["Anna"]
    assert seeded["Xmp.dc.subject"] == ["Sea"]


@pytest.mark.parametrize("kind", [*BY_EXIFTOOL, *UNREADABLE])
def test_without_exiftool_no_sidecar_is_made_and_the_photo_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    without_exiftool(monkeypatch)
    packets, extension = (BY_EXIFTOOL | UNREADABLE)[kind]
    photo = jpeg_with(tmp_path / "a.jpg", *packets, extension=extension)
    outcome = prepare(photo)
    assert outcome.status == "skipped"
    assert outcome.reason.startswith(f"{photo} is not rated: it")
    assert "Install exiftool" in outcome.reason
    assert [each.name for each in tmp_path.iterdir()] == ["a.jpg"]


@has_exiftool
@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_exiftool_cannot_read_either_gets_no_sidecar(tmp_path: Path, kind: str) -> None:
    packets, _ = UNREADABLE[kind]
    outcome = prepare(jpeg_with(tmp_path / "a.jpg", *packets))
    assert outcome.status == "skipped"
    assert "exiftool does not read it either" in outcome.reason


def test_extended_xmp_of_a_depth_map_is_no_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_exiftool(monkeypatch)
    depth = (
        '<x xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" GDepth:Data="iVBORw0KGgoAAAANSUhEUg"/>'
    )
    photo = jpeg_with(tmp_path / "a.jpg", packet(WORDS, HAS_EXTENSION).encode(), extension=depth.encode())
    assert prepare(photo).status == "prepared"


@has_exiftool
@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.jpg", "a.png", "a.webp", "a.tif", "a.dng"])
@pytest.mark.parametrize("is_rated", [True, False])
def test_xmp_that_exiftool_wrote_into_any_format_is_read(
    tmp_path: Path, make_photo: MakePhoto, name: str, is_rated: bool
) -> None:
    if name in ("a.heic", "a.avif"):
        photo = tmp_path / name
        if name == "a.heic":
            pillow_heif.from_pillow(pixels(4)).save(photo)
        else:
            pixels(4).save(photo)
    elif name == "a.dng":
        photo = make_photo("a.tif").rename(tmp_path / "a.dng")
    else:
        photo = make_photo(name)
    rating = ["-XMP:Rating=5"] if is_rated else []
    command = [
        "exiftool",
        "-q",
        "-overwrite_original",
        *rating,
        "-XMP:Title=T",
        "-XMP:Subject=Sea",
        str(photo),
    ]
    subprocess.run(command, check=True)
    outcome = prepare(photo)
    if is_rated:
        assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 5), outcome.reason
        return
    assert outcome.temporary is not None, outcome.reason
    assert xmp_of(outcome.temporary)["Xmp.dc.subject"] == ["Sea"]


@has_exiftool
def test_exiftool_runs_once_for_a_batch_and_never_for_sound_photos(
    tmp_path: Path, make_photo: MakePhoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[list[Path]] = []
    read_many = second_reader.read_many

    def noted(photos: list[Path]) -> None:
        runs.append(photos)
        read_many(photos)

    monkeypatch.setattr(second_reader, "read_many", noted)
    monkeypatch.setattr(exiv2_tags, "_tainted", False)  # by an earlier test
    packets, _ = BY_EXIFTOOL["two packets"]
    odd = [jpeg_with(tmp_path / f"odd{number}.jpg", *packets) for number in range(3)]
    sound = [make_photo(f"sound{number}.jpg", tags={"Xmp.dc.title": "T"}) for number in range(3)]
    results = metadata_process.prepare_many([RatingRequest(photo, QUALITY) for photo in [*odd, *sound]])
    assert [getattr(result, "status", result) for result in results] == ["person"] * 3 + ["prepared"] * 3
    assert runs == [odd]


@has_exiftool
@pytest.mark.parametrize(
    "name",
    ["-delete_original.jpg", "a\nb -Rating=1.jpg", "#[CSTR]a.jpg", " a .jpg", "a.jpg.#", b"\xff\xfe.jpg"],
)
def test_no_file_name_is_taken_for_an_option(tmp_path: Path, name: str | bytes) -> None:
    photo = tmp_path / os.fsdecode(name)
    packets, _ = BY_EXIFTOOL["two packets"]
    before = jpeg_with(photo, *packets).read_bytes()
    outcome = prepare(photo)
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 5), outcome.reason
    assert photo.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_an_exiftool_that_hangs_is_ended_and_the_photo_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "hanging"
    program.write_text("#!/bin/sh\nexec sleep 600\n", encoding="ascii")
    program.chmod(0o755)
    monkeypatch.setattr(second_reader, "PROGRAM", str(program))
    monkeypatch.setattr(second_reader, "_START_S", 0.2)
    monkeypatch.setattr(second_reader, "_PHOTO_S", 0.1)
    (tmp_path / "photos").mkdir()
    packets, _ = BY_EXIFTOOL["two packets"]
    photos = [jpeg_with(tmp_path / "photos" / f"{number}.jpg", *packets) for number in range(2)]
    results = metadata_process.prepare_many([RatingRequest(photo, QUALITY) for photo in photos])
    for result in results:
        assert isinstance(result, Prepared)
        assert result.status == "skipped"
        assert "does not read it" in result.reason


EMOJI = b"UNICODE\0" + "Nice \N{BUTTERFLY}".encode("utf-16-be")


def exif_with(comment: bytes = b"", artist: bytes = b"", copyright_: bytes = b"", rating: int = 0) -> bytes:
    """Return big-endian EXIF with these texts as they are."""
    entries: list[tuple[int, int, bytes]] = [(0x013B, 2, artist), (0x4746, 3, b""), (0x8298, 2, copyright_)]
    ifd = [(tag, kind, data + b"\0") for tag, kind, data in entries if data]
    if rating:
        ifd.append((0x4746, 3, rating.to_bytes(2) + b"\0\0"))
    ifd.sort()
    size = 8 + 2 + 12 * (len(ifd) + bool(comment)) + 4
    table, heap = b"", b""
    for tag, kind, data in ifd:
        count = 1 if kind == 3 else len(data)
        if len(data) <= 4:
            value = data.ljust(4, b"\0")
        else:
            value = (size + len(heap)).to_bytes(4)
            heap += data
        table += tag.to_bytes(2) + kind.to_bytes(2) + count.to_bytes(4) + value
    if comment:
        table += (0x8769).to_bytes(2) + (4).to_bytes(2) + (1).to_bytes(4) + (size + len(heap)).to_bytes(4)
        place = size + len(heap) + 2 + 12 + 4
        heap += (1).to_bytes(2) + (0x9286).to_bytes(2) + (7).to_bytes(2) + len(comment).to_bytes(4)
        heap += place.to_bytes(4) + bytes(4) + comment
    number = len(ifd) + bool(comment)
    return b"MM\0\x2a" + (8).to_bytes(4) + number.to_bytes(2) + table + bytes(4) + heap


def photo_with_exif(photo: Path, exif: bytes, *packets: bytes) -> Path:
    jpeg_with(photo, *packets)
    data = photo.read_bytes()
    content = b"Exif\0\0" + exif
    photo.write_bytes(data[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content + data[2:])
    return photo


@pytest.mark.parametrize("comment", [EMOJI, EMOJI + b"x", EMOJI[:-1]])
def test_an_odd_comment_in_exif_hides_no_rating(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, comment: bytes
) -> None:
    without_exiftool(monkeypatch)
    photo = photo_with_exif(tmp_path / "a.jpg", exif_with(comment), packet(WORDS, RATED).encode())
    assert prepare(photo).status == "person"
    photo = photo_with_exif(tmp_path / "b.jpg", exif_with(comment, rating=4))
    outcome = prepare(photo)
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 4)


def test_an_odd_comment_loses_nothing_else_and_is_read_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_exiftool(monkeypatch)
    photo = photo_with_exif(tmp_path / "a.jpg", exif_with(EMOJI, b"Joe", b"(c) Joe"), packet().encode())
    outcome = prepare(photo)
    assert outcome.temporary is not None, outcome.reason
    seeded = xmp_of(outcome.temporary)
    assert seeded["Xmp.dc.title"] == {'lang="x-default"': "Title"}
    assert seeded["Xmp.dc.rights"] == {'lang="x-default"': "(c) Joe"}
    assert seeded["Xmp.dc.description"] == {'lang="x-default"': "Nice \N{BUTTERFLY}"}


@pytest.mark.parametrize(
    ("artist", "name"), [("Jörg".encode("latin-1"), "Jörg"), ("Jörg".encode(), "Jörg"), (b"J\x80", "J€")]
)
def test_one_text_in_a_local_encoding_drops_none_of_exif(tmp_path: Path, artist: bytes, name: str) -> None:
    photo = photo_with_exif(tmp_path / "a.jpg", exif_with(artist=artist, copyright_=b"(c) Joe Smith"))
    outcome = prepare(photo)
    assert outcome.temporary is not None, outcome.reason
    assert outcome.notes == ()
    seeded = xmp_of(outcome.temporary)
    assert seeded["Xmp.dc.creator"] == [name]
    assert seeded["Xmp.dc.rights"] == {'lang="x-default"': "(c) Joe Smith"}


@has_exiftool
def test_where_exiftool_has_no_room_the_photo_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    photo = jpeg_with(tmp_path / "a.jpg", packet().encode(), packet(attributes=RATED).encode())
    with monkeypatch.context() as patch:
        patch.setattr(second_reader.tempfile, "TemporaryDirectory", full)
        (result,) = metadata_process.prepare_many([RatingRequest(photo, QUALITY)])
    assert isinstance(result, Transient)
    assert "No space left on device" in str(result)
    assert prepare(photo).status != "skipped"


TWICE = '<tiff:Make xmlns:tiff="http://ns.adobe.com/tiff/1.0/">SONY</tiff:Make>'
EMPTY = (
    '<tiff:Model xmlns:tiff="http://ns.adobe.com/tiff/1.0/"/>'
    '<exif:UserComment xmlns:exif="http://ns.adobe.com/exif/1.0/"><rdf:Alt>'
    '<rdf:li xml:lang="x-default"/></rdf:Alt></exif:UserComment>'
)


@has_exiftool
def test_a_photo_whose_xmp_says_a_thing_twice_is_rated_with_its_words(tmp_path: Path) -> None:
    """As gThumb and F-Spot wrote them: exiv2 refuses a property that comes twice."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "SONY", "DSC-RX100M4"
    photo = jpeg_with(tmp_path / "a.jpg", packet(WORDS + TWICE + TWICE + EMPTY).encode(), exif=exif)
    result = prepare(photo)
    assert result.status == "prepared", result.reason
    assert result.temporary is not None
    values = exiv2_tags.read_sidecar(result.temporary.read_bytes())
    assert values["Xmp.dc.creator"] == ["Anna"]
    assert values["Xmp.tiff.Make"] == "SONY"
    assert values["Xmp.tiff.Model"] == "DSC-RX100M4", "an empty property hides no word of the camera's"


OLD_MICROSOFT = (
    '<MicrosoftPhoto:LastKeywordXMP xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0">'
    "<rdf:Bag><rdf:li>Sea</rdf:li></rdf:Bag></MicrosoftPhoto:LastKeywordXMP>"
)


@has_exiftool
def test_microsofts_namespace_is_known_as_exiftool_and_old_versions_of_digikam_spell_it(
    tmp_path: Path,
) -> None:
    photo = jpeg_with(tmp_path / "a.jpg", packet(WORDS + OLD_MICROSOFT).encode())
    (_, reading) = second_reader.read_here([photo])[photo]
    for document in (reading.xmp, reading.everything):
        xmp_text.read(document)  # refuses the other spelling, which exiv2 would keep for all later files
        values = exiv2_tags.read_sidecar(document)
        assert values["Xmp.MicrosoftPhoto.LastKeywordXMP"] == ["Sea"]


def test_microsofts_namespace_is_mended_in_a_packet_that_is_nearly_well_formed() -> None:
    document = xmp_repair.mended(packet(TITLE.format("Sea & sand") + OLD_MICROSOFT).encode())
    assert document is not None
    assert exiv2_tags.read_sidecar(document)["Xmp.MicrosoftPhoto.LastKeywordXMP"] == ["Sea"]
