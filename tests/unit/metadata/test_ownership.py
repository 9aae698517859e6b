from __future__ import annotations

import pytest

from maclip_daemon.metadata.sidecars.ownership import owner_of, synchronized_fields

R, S = "Xmp.xmp.Rating", "Xmp.maclip.Stars"


@pytest.mark.parametrize(
    ("values", "last_written", "owner", "rating"),
    [
        ({}, None, "none", None),
        ({R: "0"}, None, "none", 0),
        ({R: ""}, None, "none", None),
        ({R: "0", "Exif.Image.Rating": "0", "Xmp.MicrosoftPhoto.Rating": "0"}, 3, "none", 0),
        ({R: "0", S: "3"}, 3, "person", 0),
        ({R: "0", S: "3"}, None, "person", 0),
        ({S: "3"}, 3, "person", 0),
        ({R: "", S: "-1"}, -1, "person", 0),
        ({R: "3", S: "3"}, 3, "maclip", 3),
        ({R: "-1", S: "-1"}, -1, "maclip", -1),
        ({R: "3", S: "3"}, None, "person", 3),
        ({R: "3", S: "3"}, 4, "person", 3),
        ({R: "4", S: "3"}, 3, "person", 4),
        ({R: "4", S: "3"}, 4, "person", 4),
        ({R: "3"}, 3, "person", 3),
        ({R: "1"}, None, "person", 1),
        ({R: "-1"}, None, "person", -1),
        ({R: "4.6"}, None, "person", 5),
        ({R: "4.5"}, None, "person", 5),
        ({R: "4.4"}, None, "person", 4),
        ({R: "0.5"}, None, "person", 1),
        ({R: "0.1"}, None, "person", 1),
        ({R: "0.0"}, None, "none", 0),
        ({R: "-1.0"}, None, "person", -1),
        ({R: "99"}, None, "person", 5),
        ({R: "nan"}, None, "person", 0),
        ({R: "3.5", S: "3"}, 3, "person", 4),
        ({R: "good"}, None, "person", 0),
    ],
)
def test_a_rating_is_ours_only_when_it_equals_our_last_write_and_our_stars(
    values: dict[str, object], last_written: int | None, owner: str, rating: int | None
) -> None:
    assert owner_of(values, last_written)[:2] == (owner, rating)


@pytest.mark.parametrize(
    ("key", "value", "rating"),
    [
        ("Exif.Image.Rating", "3", 3),
        ("Xmp.acdsee.rating", "5", 5),
        ("Xmp.MicrosoftPhoto.Rating", "1", 1),
        ("Xmp.MicrosoftPhoto.Rating", "25", 2),
        ("Xmp.MicrosoftPhoto.Rating", "50", 3),
        ("Xmp.MicrosoftPhoto.Rating", "75", 4),
        ("Exif.Image.RatingPercent", "99", 5),
        ("Exif.Fujifilm.Rating", "4", 4),
    ],
)
def test_a_rating_in_another_field_is_a_persons_too(key: str, value: str, rating: int) -> None:
    assert owner_of({key: value}, None)[:2] == ("person", rating)
    assert owner_of({key: value, R: "0"}, None)[:2] == ("person", rating)


def test_our_star_beside_a_field_that_says_none_is_a_persons() -> None:
    """digiKam took the stars away, and darktable pressed ours again."""
    assert owner_of({R: "3", S: "3", "Xmp.acdsee.rating": "0"}, 3) == ("person", 3, 3)
    assert owner_of({R: "3", S: "3", "Exif.Image.RatingPercent": "0"}, 3) == ("person", 3, 3)
    assert owner_of({R: "3", S: "3", "Exif.Fujifilm.Rating": "0"}, 3) == ("maclip", 3, 3)


def test_our_star_over_our_copy_of_a_persons_is_a_persons() -> None:
    assert owner_of({R: "3", S: "3", "Xmp.maclip.Followed": "5 photo"}, 3) == ("person", 3, 3)


def test_a_person_who_changed_only_another_field_owns_the_rating() -> None:
    assert owner_of({R: "3", S: "3", "Xmp.MicrosoftPhoto.Rating": "50"}, 3)[0] == "maclip"
    assert owner_of({R: "3", S: "3", "Xmp.MicrosoftPhoto.Rating": "99"}, 3)[0] == "person"
    assert owner_of({R: "3", S: "3", "Xmp.acdsee.rating": "1"}, 3)[0] == "person"


@pytest.mark.parametrize(
    "values",
    [
        {"Xmp.digiKam.PickLabel": "1"},
        {"Xmp.xmpDM.pick": "-1"},
        {"Xmp.xmpDM.pick": "-1", "Xmp.xmpDM.good": "False"},
        {"Xmp.xmpDM.good": "False"},
    ],
)
def test_a_photo_rejected_in_another_field_is_a_persons_whatever_its_stars(values: dict[str, object]) -> None:
    assert owner_of(values, None)[:2] == ("person", -1)
    assert owner_of({R: "0", **values}, None)[:2] == ("person", -1)
    assert owner_of({R: "3", S: "3", **values}, 3)[:2] == ("person", -1)


@pytest.mark.parametrize(
    "values",
    [
        {"Xmp.digiKam.PickLabel": "0"},
        {"Xmp.digiKam.PickLabel": "2"},
        {"Xmp.digiKam.PickLabel": "3"},
        {"Xmp.xmpDM.pick": "0"},
        {"Xmp.xmpDM.pick": "1", "Xmp.xmpDM.good": "True"},
        {"Xmp.xmpDM.pick": "0", "Xmp.xmpDM.good": "False"},
    ],
)
def test_a_photo_that_is_picked_or_undecided_is_unrated(values: dict[str, object]) -> None:
    assert owner_of(values, None)[0] == "none"


def test_iso_speed_ratings_are_no_ratings() -> None:
    assert (
        owner_of({"Exif.Photo.ISOSpeedRatings": "200", "Xmp.exif.ISOSpeedRatings": ["200"]}, None)[0]
        == "none"
    )


@pytest.mark.parametrize(("rating", "percent"), [(-1, 0), (1, 1), (2, 25), (3, 50), (4, 75), (5, 99)])
def test_only_present_rating_fields_are_synchronized(rating: int, percent: int) -> None:
    plain = max(rating, 0)
    assert synchronized_fields({}, rating) == {}
    assert synchronized_fields({"Xmp.acdsee.rating": "0", "Xmp.MicrosoftPhoto.Rating": "0"}, rating) == {
        "Xmp.acdsee.rating": str(plain),
        "Xmp.MicrosoftPhoto.Rating": str(percent),
    }
    assert synchronized_fields({"Exif.Image.Rating": "0", "Exif.Image.RatingPercent": "0"}, rating) == {
        "Exif.Image.Rating": str(plain),
        "Exif.Image.RatingPercent": str(percent),
    }
