"""The first photos of a large library come before its whole order is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from maclip_daemon import errors
from maclip_daemon.library.queries import review_photos
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage.database import Library
from maclip_daemon.web import first_pictures, photo_sets
from maclip_daemon.web.photo_sets import PhotoSets
from maclip_daemon.web.preview_queue import WantedPreview
from maclip_daemon.web.review import Review
from maclip_daemon.web.review_app import ReviewScope
from tests.rated_library import RatedLibrary


@pytest.fixture
def rated(tmp_path: Path) -> Iterator[RatedLibrary]:
    with Library.open(tmp_path / "data" / "library.db") as library:
        yield RatedLibrary(tmp_path / "photos", library)


def test_the_order_of_many_photos_waits_for_the_first_page_or_for_whoever_needs_it(
    rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = [rated.add(f"IMG_{number}.jpg", score=number / 10) for number in range(9)]
    monkeypatch.setattr(photo_sets, "SMALL_SET", 4)
    monkeypatch.setattr(photo_sets, "FIRST_REST_S", 3600.0)
    monkeypatch.setattr(photo_sets, "FIRST_PAGE", 5)
    sets = PhotoSets(rated.library)
    found = sets.get(PhotoFilter())
    assert not found.is_whole.is_set(), "it rests"
    assert list(sets.page(found, 0, 5)) == numbers[:5]
    assert not found.is_whole.is_set()
    for number, is_rated in [(0, True), (1, True), (1, False), (7, True)]:
        sets.record(numbers[number], is_rated=is_rated)  # what is read now is older
    assert list(sets.page(found, 5, 5)) == numbers[5:], "somebody waits for it"
    assert found.is_whole.is_set()
    assert list(found.ids) == numbers
    assert found.rated == {numbers[0], numbers[7]}


class Previews:
    def __init__(self, *, has_ended: bool = False) -> None:
        self.wanted: list[WantedPreview] = []
        self._has_ended = has_ended

    def prepare(self, wanted: WantedPreview) -> None:
        if self._has_ended:
            raise errors.Transient("The review page has ended.")
        self.wanted.append(wanted)


def prepared(rated: RatedLibrary, previews: Previews, scope: ReviewScope) -> list[str]:
    def rows(photo_ids: list[int]) -> list[review_photos.ReviewPhoto]:
        with rated.library.snapshot() as snapshot:
            return review_photos.rows(snapshot, photo_ids)

    review = SimpleNamespace(library=rated.library, photos=rows, previews=previews)
    first_pictures.prepare(cast("Review", review), scope).join()
    assert {each.kind for each in previews.wanted} <= {"grid"}
    return [each.path.rpartition("/")[2] for each in previews.wanted]


def test_the_pictures_in_view_are_begun_before_the_browser_asks(rated: RatedLibrary) -> None:
    for number in range(40):
        rated.add(f"IMG_{number:02}.jpg", score=number / 100)
    names = prepared(rated, Previews(), ReviewScope())
    assert names == [f"IMG_{number:02}.jpg" for number in range(first_pictures.IN_VIEW)]
    assert prepared(rated, Previews(), ReviewScope(query="order=best", worst=3))[0] == "IMG_39.jpg"
    assert prepared(rated, Previews(has_ended=True), ReviewScope()) == []
