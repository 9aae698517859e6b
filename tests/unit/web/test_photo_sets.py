"""The first photos of a large library come before its whole order is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage.database import Library
from maclip_daemon.web import photo_sets
from maclip_daemon.web.photo_sets import PhotoSets
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
