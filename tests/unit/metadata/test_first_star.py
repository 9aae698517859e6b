"""darktable's own first star: a person's, unless the person lets maclip replace it."""

from __future__ import annotations

import pytest
from metadata_samples import DARKTABLE_SIDECAR, QUALITY, MakePhoto
from test_preparation import prepare, write

from maclip_daemon.metadata.records import FoundRating, RatingRequest, UndoEntry
from maclip_daemon.metadata.sidecars import verdict
from maclip_daemon.metadata.writing import undo_file

FIRST = DARKTABLE_SIDECAR.replace(b'xmp:Rating="0"', b'xmp:Rating="1"')


def with_attributes(sidecar: bytes, attributes: bytes) -> bytes:
    return sidecar.replace(b'xmp:Rating="1"', b'xmp:Rating="1"\n   ' + attributes)


def found(make_photo: MakePhoto, sidecar: bytes) -> tuple[FoundRating, str]:
    """Return what is found, and what becomes of a request that may replace one star."""
    photo = make_photo()
    photo.with_name("IMG_1.jpg.xmp").write_bytes(sidecar)
    rating = verdict.inspect(photo, None)
    return rating, prepare(RatingRequest(photo, QUALITY, first_star=1)).status


def test_a_star_of_darktable_alone_is_replaced_and_undo_brings_it_back(make_photo: MakePhoto) -> None:
    photo = make_photo()
    sidecar = photo.with_name("IMG_1.jpg.xmp")
    sidecar.write_bytes(FIRST)
    rating = verdict.inspect(photo, None)
    assert (rating.owner, rating.rating, rating.is_first_star, rating.by_darktable) == (
        "person",
        1,
        True,
        True,
    )
    assert prepare(RatingRequest(photo, QUALITY)).status == "person"
    prepared = write(RatingRequest(photo, QUALITY, first_star=1))
    assert b'xmp:Rating="4"' in sidecar.read_bytes()
    assert b"darktable:history" in sidecar.read_bytes()
    assert verdict.inspect(photo, 4).owner == "maclip"
    entry: UndoEntry = prepared.undo_entry
    assert undo_file.undo(entry).status == "restored"
    assert sidecar.read_bytes() == FIRST


@pytest.mark.parametrize(
    "sidecar",
    [
        FIRST.replace(b'xmp:Rating="1"', b'xmp:Rating="2"'),
        FIRST.replace(b'xmp:Rating="1"', b'xmp:Rating="-1"'),
        FIRST.replace(b'darktable:xmp_version="5"', b""),
        with_attributes(FIRST, b'xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/" acdsee:rating="4"'),
        with_attributes(
            FIRST, b'xmlns:maclip="http://ns.maclip-daemon/quality/1.0/" maclip:Stars="4" maclip:Score="0.5"'
        ),
    ],
    ids=["another star", "rejected", "not darktable's", "another field", "over maclip's stars"],
)
def test_other_ratings_are_never_replaced(make_photo: MakePhoto, sidecar: bytes) -> None:
    rating, status = found(make_photo, sidecar)
    assert (rating.owner, status) == ("person", "person")
    assert not rating.is_first_star or rating.rating != 1


def test_a_rating_in_the_photo_itself_is_a_persons(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Xmp.xmp.Rating": "1"})
    photo.with_name("IMG_1.jpg.xmp").write_bytes(FIRST)
    assert not verdict.inspect(photo, None).is_first_star
    assert prepare(RatingRequest(photo, QUALITY, first_star=1)).status == "person"


def test_the_mark_inside_an_export_of_darktable_is_not_that_of_a_sidecar(make_photo: MakePhoto) -> None:
    photo = make_photo(tags={"Xmp.darktable.xmp_version": "5", "Xmp.xmp.Rating": "1"})
    rating = verdict.inspect(photo, None)
    assert (rating.owner, rating.by_darktable, rating.is_first_star) == ("person", False, False)
    assert prepare(RatingRequest(photo, QUALITY, first_star=1)).status == "person"
