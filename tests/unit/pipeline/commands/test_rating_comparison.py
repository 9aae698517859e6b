"""Which differences of a file from the library are disagreements, and which are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from maclip_daemon.library.queries.recorded_photos import RecordedPhoto
from maclip_daemon.metadata.records import FoundRating, WriteProof
from maclip_daemon.pipeline.commands import rating_comparison
from maclip_daemon.pipeline.commands.disagreement import Cures
from maclip_daemon.pipeline.commands.rating_comparison import Rules

PHOTO = RecordedPhoto(1, "/p/a.jpg", "scored", "maclip", 3, 3, 10, 20, "ab", 0.5, False, False, None)
PROOF = WriteProof(3, "ab", None, True)
FOUND = FoundRating("maclip", 3, 3, Path("/p/a.jpg.xmp"), "h", PROOF, score=0.5)
RULES = Rules(writes=True, asks_darktable=False)


def kinds(photo: RecordedPhoto, found: FoundRating, rules: Rules = RULES) -> list[str]:
    cures = Cures(Path("/d/library.db"), is_running=False)
    return [each.kind for each in rating_comparison.compare(photo, found, rules, cures, "/p")]


@pytest.mark.parametrize(
    ("photo", "found"),
    [
        (PHOTO, FOUND),
        (PHOTO, replace(FOUND, score=0.5000004)),  # a file has six decimals
        (replace(PHOTO, is_contested=True), replace(FOUND, score=0.9)),
        (replace(PHOTO, rating_owner="none", rating=None), replace(FOUND, owner="none", rating=0)),
        (
            replace(PHOTO, rating_owner="person", rating=4, partner_rating=4),
            replace(FOUND, owner="none", rating=None),
        ),
        (replace(PHOTO, rating_owner="person", rating=0), replace(FOUND, owner="none", rating=0)),
    ],
)
def test_what_agrees_is_not_named(photo: RecordedPhoto, found: FoundRating) -> None:
    assert kinds(photo, found) == []


def test_a_rating_that_only_darktables_library_may_have_is_not_named() -> None:
    photo, found = replace(PHOTO, rating_owner="person", rating=4), replace(FOUND, owner="none", rating=None)
    assert kinds(photo, found) == ["rating"]
    assert kinds(photo, found, replace(RULES, asks_darktable=True)) == []


def test_without_rating_only_stars_of_maclips_are_compared() -> None:
    photo, off = replace(PHOTO, rating_owner="none", rating=None), replace(RULES, writes=False)
    assert kinds(photo, replace(FOUND, owner="person", rating=5), off) == []
    assert kinds(photo, FOUND, off) == ["rating"]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (replace(FOUND, owner="person", rating=5), "rating"),
        (replace(FOUND, owner="none", rating=None), "rating"),
        (replace(FOUND, rating=4), "rating"),
        (replace(FOUND, score=0.51), "score"),
        (replace(FOUND, proof=replace(PROOF, pixel_hash="cd")), "another picture"),
    ],
)
def test_what_differs_is_named(found: FoundRating, kind: str) -> None:
    assert kinds(PHOTO, found) == [kind]
