"""When a photo was taken."""

from datetime import datetime, timedelta, timezone

import pytest
from make_photos import exif_bytes
from PIL import Image

from maclip_daemon.photos.exif import taken_at


def exif(**directory: str) -> Image.Exif:
    loaded = Image.Exif()
    loaded.load(exif_bytes(None, **directory))
    return loaded


def test_a_date_without_offset_is_the_cameras_own() -> None:
    assert taken_at(exif(DateTimeOriginal="2026:05:01 10:11:12")) == datetime(2026, 5, 1, 10, 11, 12)


def test_offset_and_fraction_are_kept() -> None:
    moment = taken_at(
        exif(DateTimeOriginal="2026:05:01 10:11:12", OffsetTimeOriginal="-03:30", SubsecTimeOriginal="25")
    )
    zone = timezone(-timedelta(hours=3, minutes=30))
    assert moment == datetime(2026, 5, 1, 10, 11, 12, 250_000, tzinfo=zone)


@pytest.mark.parametrize(
    "text",
    ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "2026:13:01 10:00:00", "2026:02:30 10:00:00", "today"],
)
def test_a_date_that_is_none_is_none(text: str) -> None:
    assert taken_at(exif(DateTimeOriginal=text)) is None


@pytest.mark.parametrize(("offset", "fraction"), [("+99:00", "x"), ("Z", "²"), ("   :  ", "   ")])
def test_a_bad_offset_or_fraction_leaves_the_date(offset: str, fraction: str) -> None:
    found = taken_at(
        exif(DateTimeOriginal="2026:05:01 10:11:12", OffsetTimeOriginal=offset, SubsecTimeOriginal=fraction)
    )
    assert found == datetime(2026, 5, 1, 10, 11, 12)


def test_without_exif_there_is_no_date() -> None:
    assert taken_at(None) is None
    assert taken_at(Image.Exif()) is None
