"""Tags such as `quality|80-89` beside the tags that a person gave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from metadata_samples import DARKTABLE_SIDECAR, QUALITY, MakePhoto, accepted, files_in, xmp_of

from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import bucket_tags
from maclip_daemon.metadata.sidecars.bucket_tags import DIGIKAM_KEY, FLAT_KEY, HIERARCHICAL_KEY
from maclip_daemon.metadata.writing import commit_write, preparation, undo_file


def rated(photo: Path, percentile: float | None, *, on: bool = True, last: int | None = None) -> Prepared:
    request = RatingRequest(photo, replace(QUALITY, percentile=percentile), last_written=last, bucket_tags=on)
    prepared = preparation.prepare(request)
    if prepared.status == "prepared":
        commit_write.commit_many([prepared])
    return prepared


@pytest.mark.parametrize(
    ("percentile", "bucket"),
    [(None, None), (0.0, "0-9"), (9.99, "0-9"), (10.0, "10-19"), (89.99, "80-89"), (100.0, "90-99")],
)
def test_the_bucket_of_a_percentile(percentile: float | None, bucket: str | None) -> None:
    assert bucket_tags.bucket_of(percentile) == bucket


def test_new_lists_start_with_the_tags_that_they_would_hide(make_photo: MakePhoto) -> None:
    photo = make_photo("a.jpg", tags={"Xmp.dc.subject": ["Hafen", "Kräne"]})
    accepted(rated(photo, 85.0))
    written = xmp_of(photo.with_name("a.jpg.xmp"))
    assert written[FLAT_KEY] == ["Hafen", "Kräne", "quality|80-89"]
    assert written[HIERARCHICAL_KEY] == ["Hafen", "Kräne", "quality|80-89"]
    assert written[DIGIKAM_KEY] == ["Hafen", "Kräne", "quality/80-89"]


def test_only_ours_is_replaced_and_the_others_keep_their_order(make_photo: MakePhoto) -> None:
    photo = make_photo("a.jpg")
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes(DARKTABLE_SIDECAR)
    before = files_in(photo.parent)
    first = accepted(rated(photo, 85.0))
    assert xmp_of(sidecar)[HIERARCHICAL_KEY] == ["Orte|Hafen", "quality|80-89"]
    assert xmp_of(sidecar)[FLAT_KEY] == ["Hafen", "Kräne", "quality|80-89"]
    assert xmp_of(sidecar)[DIGIKAM_KEY] == ["Orte/Hafen", "quality/80-89"]
    assert rated(photo, 89.0, last=4).status == "unchanged"
    second = accepted(rated(photo, 12.0, last=4))
    assert xmp_of(sidecar)[HIERARCHICAL_KEY] == ["Orte|Hafen", "quality|10-19"]
    third = accepted(rated(photo, 12.0, last=4, on=False))
    assert xmp_of(sidecar)[HIERARCHICAL_KEY] == ["Orte|Hafen"]
    assert xmp_of(sidecar)[FLAT_KEY] == ["Hafen", "Kräne"]
    for entry in (third, second, first):
        assert undo_file.undo(entry.undo_entry).status == "restored"
    assert files_in(photo.parent) == before


def test_tags_that_only_look_like_ours_are_the_users(make_photo: MakePhoto) -> None:
    mine = ["quality|good", "quality|80-99", "my quality|80-89", "quality"]
    present = {FLAT_KEY: mine, HIERARCHICAL_KEY: mine, DIGIKAM_KEY: [*mine, "quality/70-79"]}
    wanted = bucket_tags.wanted_lists(present, "20-29")
    assert wanted[FLAT_KEY] == [*mine, "quality|20-29"]
    assert wanted[DIGIKAM_KEY] == [*mine, "quality/20-29"]
    assert bucket_tags.wanted_lists({FLAT_KEY: mine}, None) == {}


def test_a_list_that_would_hide_tags_of_another_program_is_not_begun() -> None:
    windows = {"Xmp.MicrosoftPhoto.LastKeywordXMP": ["Sea"]}
    assert DIGIKAM_KEY not in bucket_tags.wanted_lists(windows, "0-9")


def test_embedding_leaves_iptc_keywords_visible(make_photo: MakePhoto) -> None:
    photo = make_photo("a.jpg", tags={"Iptc.Application2.Keywords": ["Hafen"]})
    request = RatingRequest(photo, QUALITY, "embed", bucket_tags=True)
    commit_write.commit_many([accepted(preparation.prepare(request))])
    assert not {FLAT_KEY, HIERARCHICAL_KEY, DIGIKAM_KEY} & xmp_of(photo).keys()
    other = make_photo("b.jpg")
    commit_write.commit_many([accepted(preparation.prepare(replace(request, photo=other)))])
    assert xmp_of(other)[FLAT_KEY] == ["quality|40-49"]
