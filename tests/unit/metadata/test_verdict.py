"""Whose rating is it, when several files can tell?"""

from __future__ import annotations

import errno
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyexiv2
import pytest
from metadata_samples import QUALITY, MakePhoto, files_in, xmp_of

from maclip_daemon.errors import MaclipError, Poison, Transient
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.records import Partner, Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import verdict
from maclip_daemon.metadata.writing import commit_write, undo_file

NAMESPACES = (
    'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    ' xmlns:xmpDM="http://ns.adobe.com/xmp/1.0/DynamicMedia/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
)


def sidecar(*properties: str) -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {NAMESPACES} {" ".join(properties)}/></rdf:RDF></x:xmpmeta>'
    ).encode()


MACLIP = 'xmlns:maclip="http://ns.maclip-daemon/quality/1.0/" maclip:Stars="4"'
LABEL = 'xmp:Label="Red"'
FIVE = 'xmp:Rating="5"'
OF_FILM = 'dc:format="video/quicktime" xmpDM:videoFrameRate="30"'


def prepare(request: RatingRequest) -> Prepared:
    result = metadata_process.prepare_many([request])[0]
    assert not isinstance(result, MaclipError), result
    return result


def write(request: RatingRequest) -> Prepared:
    prepared = prepare(request)
    assert prepared.status == "prepared", prepared
    assert commit_write.commit_many([prepared]) == [None]
    return prepared


def test_a_persons_rating_in_either_of_two_sidecars_counts(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    for rated, other in (("IMG_1.xmp", "IMG_1.jpg.xmp"), ("IMG_1.jpg.xmp", "IMG_1.xmp")):
        (tmp_path / rated).write_bytes(sidecar(FIVE))
        (tmp_path / other).write_bytes(sidecar(LABEL))
        before = files_in(tmp_path)
        outcome = prepare(RatingRequest(photo, QUALITY))
        assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 5)
        assert files_in(tmp_path) == before


def test_our_sidecar_follows_a_persons_rating_in_the_other_one_and_undo_restores_it(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    ours = tmp_path / "IMG_1.jpg.xmp"
    before = ours.read_bytes()
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(FIVE))  # digiKam with compatible file names
    outcome = write(RatingRequest(photo, replace(QUALITY, stars=2), last_written=4))
    assert outcome.owner == "person"
    assert xmp_of(ours)["Xmp.xmp.Rating"] == "5"
    assert verdict.inspect(photo, None).owner == "person"
    assert prepare(RatingRequest(photo, QUALITY)).status == "person"
    assert undo_file.undo(outcome.undo_entry).status == "restored"
    assert ours.read_bytes() == before


def rate_in_photo(photo: Path, rating: str | None) -> None:
    with pyexiv2.ImageData(photo.read_bytes()) as image:
        image.modify_xmp({"Xmp.xmp.Rating": rating})
        photo.write_bytes(image.get_bytes())


def test_our_copy_of_a_persons_rating_in_the_photo_follows_each_change_there(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    ours = photo.with_name("IMG_1.jpg.xmp")
    for rating in ("2", "5", "-1", "0"):  # as digiKam and Lightroom do that write into photos only
        rate_in_photo(photo, rating)
        assert write(RatingRequest(photo, QUALITY, last_written=4)).owner == "person"
        assert xmp_of(ours)["Xmp.xmp.Rating"] == rating
        assert prepare(RatingRequest(photo, QUALITY, last_written=4)).status == "person"
    rate_in_photo(photo, "3")
    write(RatingRequest(photo, QUALITY, last_written=4))
    rate_in_photo(photo, None)  # written anew by a program that drops metadata: nobody took a star back
    prepare(RatingRequest(photo, QUALITY, last_written=4))
    assert xmp_of(ours)["Xmp.xmp.Rating"] == "3"


def test_a_star_that_a_person_gives_over_our_copy_stays(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    ours = photo.with_name("IMG_1.jpg.xmp")
    rate_in_photo(photo, "2")
    write(RatingRequest(photo, QUALITY, last_written=4))
    ours.write_bytes(
        ours.read_bytes().replace(b"<xmp:Rating>2", b"<xmp:Rating>1").replace(b'g="2"', b'g="1"')
    )
    rate_in_photo(photo, "5")
    outcome = prepare(RatingRequest(photo, QUALITY, last_written=4))
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 1)


def test_a_copy_from_a_sidecar_that_is_gone_stays(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    rate_in_photo(photo, "0")  # as a Canon R6 writes into every photo
    write(RatingRequest(photo, QUALITY))
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(FIVE))
    write(RatingRequest(photo, QUALITY, last_written=4))
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar('xmp:Rating="2"'))
    write(RatingRequest(photo, QUALITY, last_written=4))
    (tmp_path / "IMG_1.xmp").unlink()
    outcome = prepare(RatingRequest(photo, QUALITY, last_written=4))
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 2)


def test_both_sidecars_are_kept_in_step_where_both_are_ours(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(LABEL))
    request = RatingRequest(photo, QUALITY, last_written=4, sidecar_name="stem")
    write(request)
    changed = replace(request, quality=replace(QUALITY, stars=2))
    first = write(changed)
    assert first.target == tmp_path / "IMG_1.xmp"
    assert first.has_more
    second = write(replace(changed, last_written=2))
    assert not second.has_more
    assert prepare(replace(changed, last_written=2)).status == "unchanged"
    for name in ("IMG_1.xmp", "IMG_1.jpg.xmp"):
        assert xmp_of(tmp_path / name)["Xmp.xmp.Rating"] == "2"
    assert xmp_of(tmp_path / "IMG_1.xmp")["Xmp.xmp.Label"] == "Red"


def test_the_asked_name_is_made_beside_a_sidecar_that_is_wholly_ours(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    photo = make_photo(tags={"Xmp.dc.subject": ["Sea"]})
    write(RatingRequest(photo, QUALITY))
    request = RatingRequest(photo, QUALITY, last_written=4, sidecar_name="stem")
    made = write(request)
    assert (made.created, made.target) == (True, tmp_path / "IMG_1.xmp")
    assert xmp_of(tmp_path / "IMG_1.xmp")["Xmp.dc.subject"] == ["Sea"]
    assert prepare(request).status == "unchanged"


@pytest.mark.parametrize("left", ['xmp:Rating="0"', ""])
def test_stars_that_a_person_took_away_stay_away_until_they_ask_again(
    make_photo: MakePhoto, tmp_path: Path, left: str
) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    ours = tmp_path / "IMG_1.jpg.xmp"
    ours.write_bytes(ours.read_bytes().replace(b'xmp:Rating="4"', left.encode()))
    request = RatingRequest(photo, replace(QUALITY, stars=2), last_written=4)
    for last_written in (4, None):
        outcome = prepare(replace(request, last_written=last_written))
        assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 0)
    assert write(replace(request, may_replace="no_stars")).rating == 2
    assert verdict.inspect(photo, 2).owner == "maclip"


def test_permission_to_rate_again_replaces_no_other_rating(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    (tmp_path / "IMG_1.jpg.xmp").write_bytes(sidecar(FIVE))
    assert prepare(RatingRequest(photo, QUALITY, may_replace="no_stars")).status == "person"


def test_stars_taken_away_inside_of_a_photo_stay_away(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY, "embed"))
    photo.write_bytes(photo.read_bytes().replace(b'xmp:Rating="4"', b'xmp:Rating="0"'))
    assert prepare(RatingRequest(photo, QUALITY, "embed", last_written=4)).status == "person"
    assert write(RatingRequest(photo, QUALITY, "embed", last_written=4, may_replace="no_stars")).rating == 4


def test_a_copy_of_our_stars_in_the_photo_is_ours_until_they_change(make_photo: MakePhoto) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    make_photo(tags={"Xmp.xmp.Rating": "4"})  # digiKam wrote what it had read
    assert verdict.inspect(photo, 4).owner == "maclip"
    assert prepare(RatingRequest(photo, QUALITY, last_written=4)).found.owner == "maclip"  # type: ignore[union-attr]
    outcome = prepare(RatingRequest(photo, replace(QUALITY, stars=2), last_written=4))
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 4)


@pytest.mark.parametrize("properties", [OF_FILM, 'photoshop:SidecarForExtension="MOV"'])
def test_a_sidecar_of_a_film_is_never_touched_and_the_photo_gets_its_own(
    make_photo: MakePhoto, tmp_path: Path, properties: str
) -> None:
    photo = make_photo()
    (tmp_path / "IMG_1.MOV").touch()
    film = tmp_path / "IMG_1.xmp"
    film.write_bytes(sidecar(properties, FIVE))
    before = film.read_bytes()
    assert write(RatingRequest(photo, QUALITY)).target == tmp_path / "IMG_1.jpg.xmp"
    assert film.read_bytes() == before
    assert verdict.inspect(photo, None).owner == "maclip"


def test_a_sidecar_that_may_be_a_films_is_read_but_not_written(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    (tmp_path / "IMG_1.mp4").touch()
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(LABEL))
    outcome = prepare(RatingRequest(photo, QUALITY))
    assert outcome.status == "skipped"
    assert "may belong to the film IMG_1.mp4" in outcome.reason
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(FIVE))
    assert prepare(RatingRequest(photo, QUALITY)).status == "person"
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(LABEL, 'tiff:Make="Canon"'))
    assert prepare(RatingRequest(photo, QUALITY)).target == tmp_path / "IMG_1.xmp"


def test_of_two_photos_the_second_is_unrated_and_the_rating_of_the_first_is_not_its_own(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    first, second = make_photo("IMG_1.jpg"), make_photo("IMG_1.png", seed=2)
    for content in (LABEL, FIVE):
        (tmp_path / "IMG_1.xmp").write_bytes(sidecar(content))
        outcome = prepare(RatingRequest(second, QUALITY))
        assert outcome.status == "skipped"
        assert "shares the sidecar IMG_1.xmp with IMG_1.jpg" in outcome.reason
        assert verdict.inspect(second, None).owner == "none"
    assert prepare(RatingRequest(first, QUALITY)).status == "person"
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(LABEL))
    write(RatingRequest(first, QUALITY))
    assert verdict.inspect(second, None).owner == "none"


@pytest.mark.parametrize("named", ['photoshop:SidecarForExtension="png"', 'dc:format="image/png"'])
def test_a_shared_sidecar_is_that_of_the_photo_that_it_names(
    make_photo: MakePhoto, tmp_path: Path, named: str
) -> None:
    first, second = make_photo("IMG_1.jpg"), make_photo("IMG_1.png", seed=2)
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar(named, FIVE))
    assert verdict.inspect(second, None).owner == "person"
    assert write(RatingRequest(first, QUALITY)).target == tmp_path / "IMG_1.jpg.xmp"


def test_a_sidecar_for_a_raw_that_is_gone_is_the_photos(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    (tmp_path / "IMG_1.xmp").write_bytes(sidecar('photoshop:SidecarForExtension="CR2"', FIVE))
    assert verdict.inspect(photo, None).owner == "person"


def test_a_jpeg_named_by_the_sidecar_keeps_it_beside_a_raw(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo, raw = make_photo("GP.jpg"), make_photo("GP.jpeg").rename(tmp_path / "GP.GPR")
    (tmp_path / "GP.xmp").write_bytes(sidecar('photoshop:SidecarForExtension="JPG"', LABEL))
    assert prepare(RatingRequest(photo, QUALITY)).target == tmp_path / "GP.xmp"
    assert prepare(RatingRequest(raw, QUALITY)).target == tmp_path / "GP.GPR.xmp"


@pytest.mark.parametrize(
    ("photo_name", "name"),
    [
        ("IMG_1.JPG", "IMG_1.jpg.xmp"),
        ("img_1.jpg", "IMG_1.XMP"),
        (unicodedata.normalize("NFC", "Übung é.jpg"), unicodedata.normalize("NFD", "Übung é.jpg.xmp")),
        (unicodedata.normalize("NFD", "é.jpg"), unicodedata.normalize("NFC", "É.xmp")),
    ],
)
def test_a_sidecar_whose_letters_differ_is_found(
    make_photo: MakePhoto, tmp_path: Path, photo_name: str, name: str
) -> None:
    photo = make_photo(photo_name)
    (tmp_path / name).write_bytes(sidecar(FIVE))
    assert verdict.inspect(photo, None) == replace(
        verdict.inspect(photo, None), owner="person", rating=5, source=tmp_path / name
    )


def test_a_sidecar_with_other_letters_is_that_of_the_photo_whose_name_it_has(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    upper, lower = make_photo("IMG_1.JPG"), make_photo("IMG_1.jpg", seed=2)
    if upper.samefile(lower):
        pytest.skip("this file system takes both names for one")
    (tmp_path / "IMG_1.jpg.xmp").write_bytes(sidecar(FIVE))
    assert verdict.inspect(lower, None).owner == "person"
    assert verdict.inspect(upper, None).owner == "none"
    assert prepare(RatingRequest(upper, QUALITY)).target == tmp_path / "IMG_1.JPG.xmp"


def test_a_sidecar_with_exiftools_spelling_of_a_namespace_is_read_and_kept(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    photo = make_photo()
    target = tmp_path / "IMG_1.jpg.xmp"
    microsoft = "xmlns:MicrosoftPhoto='http://ns.microsoft.com/photo/1.0' MicrosoftPhoto:Rating"
    target.write_bytes(sidecar(f"{microsoft}='75'"))
    assert verdict.inspect(photo, None).rating == 4
    target.write_bytes(sidecar(f"{microsoft}='0'", LABEL))
    write(RatingRequest(photo, QUALITY))
    assert xmp_of(target)["Xmp.MicrosoftPhoto.Rating"] == "75"
    assert xmp_of(target)["Xmp.xmp.Label"] == "Red"


DECLARED = '<?xml version="1.0" encoding="{}"?>\n'


@pytest.mark.parametrize(
    "data",
    [
        (DECLARED.format("UTF-16") + sidecar(FIVE).decode()).encode("utf-16"),
        sidecar(FIVE).decode().encode("utf-16-be"),
        sidecar(FIVE).decode().encode("utf-32"),
        b"\xef\xbb\xbf" + sidecar(FIVE),
        (DECLARED.format("ISO-8859-1") + sidecar(FIVE, 'xmp:Label="Grün"').decode()).encode("latin-1"),
        (DECLARED.format("windows-1252") + sidecar(FIVE, 'xmp:Label="Grün €"').decode()).encode("cp1252"),
    ],
)
def test_a_rating_in_a_sidecar_of_any_encoding_is_the_persons(
    make_photo: MakePhoto, tmp_path: Path, data: bytes
) -> None:
    photo = make_photo()
    (tmp_path / "IMG_1.jpg.xmp").write_bytes(data)
    assert verdict.inspect(photo, None).rating == 5
    assert prepare(RatingRequest(photo, QUALITY)).status == "person"


def test_a_utf16_sidecar_without_a_rating_keeps_every_value_and_can_be_undone(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    photo = make_photo()
    target = tmp_path / "IMG_1.jpg.xmp"
    target.write_bytes(sidecar('xmp:Label="Grün"').decode().encode("utf-16"))
    before = target.read_bytes()
    written = write(RatingRequest(photo, QUALITY))
    assert xmp_of(target)["Xmp.xmp.Label"] == "Grün"
    assert undo_file.undo(written.undo_entry).status == "restored"
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (b"  \r\n", "it is empty"),
        ((DECLARED.format("klingon") + sidecar(FIVE).decode()).encode(), "encoding klingon"),
        (sidecar('xmp:Label="Grün"').decode().encode("latin-1"), "not well-formed"),
        (
            sidecar(FIVE)
            .replace(b'about=""', b'about="one"')
            .replace(b"</rdf:RDF>", b'<rdf:Description rdf:about="other" dc:a="1"/></rdf:RDF>')
            .replace(b"<rdf:RDF ", f"<rdf:RDF {NAMESPACES} ".encode()),
            "cannot read it",
        ),
    ],
)
def test_a_sidecar_that_cannot_be_read_is_named_and_left_alone(
    make_photo: MakePhoto, tmp_path: Path, data: bytes, reason: str
) -> None:
    photo = make_photo()
    (tmp_path / "IMG_1.jpg.xmp").write_bytes(data)
    outcome = prepare(RatingRequest(photo, QUALITY))
    assert outcome.status == "skipped"
    assert reason in outcome.reason
    with pytest.raises(Poison, match="left alone"):
        verdict.inspect(photo, None)
    assert (tmp_path / "IMG_1.jpg.xmp").read_bytes() == data


@pytest.mark.parametrize(("verdict_of_raw", "rating"), [(FIVE, 5), ('xmp:Rating="-1"', -1)])
def test_a_persons_rating_of_one_file_of_a_shot_counts_for_both(
    make_photo: MakePhoto, tmp_path: Path, verdict_of_raw: str, rating: int
) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(verdict_of_raw))
    outcome = prepare(RatingRequest(jpeg, QUALITY, partners=(Partner(raw),)))
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", rating)
    assert not (tmp_path / "A.jpg.xmp").exists()
    assert prepare(RatingRequest(raw, QUALITY, partners=(Partner(jpeg),))).status == "person"


def test_our_stars_of_the_partner_follow_a_person(make_photo: MakePhoto, tmp_path: Path) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    write(RatingRequest(jpeg, QUALITY))
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(FIVE))
    outcome = write(RatingRequest(jpeg, QUALITY, last_written=4, partners=(Partner(raw),)))
    assert outcome.owner == "person"
    assert xmp_of(tmp_path / "A.jpg.xmp")["Xmp.xmp.Rating"] == "5"


@pytest.mark.parametrize(
    ("now", "rating"),
    [('xmp:Rating="3"', "3"), (f"{MACLIP} xmp:Rating='0'", "0"), ('xmp:Rating="0"', "0")],
)
def test_a_persons_next_change_of_the_partner_is_followed(
    make_photo: MakePhoto, tmp_path: Path, now: str, rating: str
) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    write(RatingRequest(jpeg, QUALITY))
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(FIVE))
    request = RatingRequest(jpeg, QUALITY, last_written=4, partners=(Partner(raw),))
    write(request)
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(now))
    outcome = write(request)
    assert outcome.owner == "person"
    assert xmp_of(tmp_path / "A.jpg.xmp").get("Xmp.xmp.Rating", "0") == rating
    assert prepare(request).status == "person", "nothing is left to follow"
    back = prepare(RatingRequest(raw, QUALITY, partners=(Partner(jpeg, 4),)))
    assert (back.status, back.found and back.found.rating) == ("person", int(rating))
    # What a person pressed here as well stays: the two then differ.
    (tmp_path / "A.jpg.xmp").write_bytes(sidecar('xmp:Rating="1"'))
    assert prepare(request).found == verdict.inspect(jpeg, 4)


def test_a_partner_that_is_gone_or_ours_changes_nothing(make_photo: MakePhoto, tmp_path: Path) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    write(RatingRequest(raw, QUALITY))
    partners = (Partner(raw, 4), Partner(tmp_path / "gone.NEF"))
    assert prepare(RatingRequest(jpeg, QUALITY, partners=partners)).status == "prepared"


def test_a_star_that_is_left_in_our_copy_alone_goes_where_the_person_took_it_back(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    write(RatingRequest(jpeg, QUALITY))
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(FIVE))
    write(RatingRequest(jpeg, QUALITY, last_written=4, partners=(Partner(raw),)))
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar('xmp:Rating="0"'))
    # Neither our copy nor maclip's stars come back to the file that the person cleared.
    outcome = prepare(RatingRequest(raw, QUALITY, partners=(Partner(jpeg, 4),)))
    assert (outcome.status, outcome.found and outcome.found.rating) == ("person", 0)
    again = RatingRequest(jpeg, QUALITY, last_written=4, partners=(Partner(raw),))
    write(again)
    assert write(replace(again, may_replace="no_stars")).rating == 4


@pytest.mark.parametrize("left", [None, LABEL])
def test_our_copy_stays_where_a_sidecar_is_gone_or_lost_its_rating(
    make_photo: MakePhoto, tmp_path: Path, left: str | None
) -> None:
    raw, jpeg = make_photo("A.jpeg"), make_photo("A.jpg", seed=2)
    rate_in_photo(raw, "0")  # as a Canon R6 writes into every photo
    raw = raw.rename(tmp_path / "A.NEF")
    write(RatingRequest(jpeg, QUALITY))
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(FIVE))
    request = RatingRequest(jpeg, QUALITY, last_written=4, partners=(Partner(raw),))
    write(request)
    if left is None:
        (tmp_path / "A.NEF.xmp").unlink()
    else:
        (tmp_path / "A.NEF.xmp").write_bytes(sidecar(left))
    assert prepare(request).status == "person"
    assert xmp_of(tmp_path / "A.jpg.xmp")["Xmp.xmp.Rating"] == "5"


def test_our_copy_goes_with_the_star_in_the_other_sidecar(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    write(RatingRequest(photo, QUALITY))
    request = RatingRequest(photo, QUALITY, last_written=4)
    for rating in ("5", "0"):
        (tmp_path / "IMG_1.xmp").write_bytes(sidecar(f'xmp:Rating="{rating}"'))
        assert write(request).owner == "person"
        assert xmp_of(tmp_path / "IMG_1.jpg.xmp")["Xmp.xmp.Rating"] == rating
    assert prepare(request).status == "person"


def test_no_stars_that_the_library_alone_knows_count_for_the_shot(
    make_photo: MakePhoto, tmp_path: Path
) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar('xmp:Rating="0"'))
    request = RatingRequest(jpeg, QUALITY, partners=(Partner(raw, is_without_stars=True),))
    assert prepare(request).status == "person"
    assert write(replace(request, may_replace="no_stars")).rating == 4


def failing_for_raw(error: OSError) -> Callable[..., object]:
    """Return `read_regular` as it is where the sidecar of the RAW cannot be read."""
    read = safe_writer.read_regular

    def read_or_fail(path: Path, *limits: int) -> object:
        if path.name == "A.NEF.xmp":
            raise error
        return read(path, *limits)

    return read_or_fail


def test_a_partner_that_cannot_be_read_now_is_not_one_without_a_rating(
    make_photo: MakePhoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(FIVE))
    with monkeypatch.context() as patch:
        patch.setattr(
            safe_writer, "read_regular", failing_for_raw(OSError(errno.ESTALE, "Stale file handle"))
        )
        (result,) = metadata_process.prepare_many([RatingRequest(jpeg, QUALITY, partners=(Partner(raw),))])
    assert isinstance(result, Transient)
    assert str(raw) in str(result)
    assert prepare(RatingRequest(jpeg, QUALITY, partners=(Partner(raw),))).status == "person"


def test_a_partner_that_may_not_be_read_is_told_and_not_passed_over(
    make_photo: MakePhoto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, jpeg = make_photo("A.jpeg").rename(tmp_path / "A.NEF"), make_photo("A.jpg", seed=2)
    (tmp_path / "A.NEF.xmp").write_bytes(sidecar(FIVE))
    refused = failing_for_raw(PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(safe_writer, "read_regular", refused)
    outcome = prepare(RatingRequest(jpeg, QUALITY, partners=(Partner(raw),)))
    assert outcome.status == "skipped"
    assert "Check its permissions" in outcome.reason
