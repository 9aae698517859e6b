"""Hints about ratings stand for the photos that they count."""

from __future__ import annotations

from maclip_daemon.cli.printing import rating_hints
from maclip_daemon.pipeline.rating.darktable_check import FIRST_STAR
from maclip_daemon.pipeline.rating.first_stars import FirstStars


def test_photos_that_a_hint_counts_are_not_listed_one_by_one() -> None:
    other = ("/photos/b.jpg", "it may not be written")
    problems = [("/photos/a.jpg", FIRST_STAR), other, ("/elsewhere/a.jpg", FIRST_STAR)]
    hint = FirstStars("/photos", 1, 1, is_exact=True)
    assert rating_hints.without_first_stars(problems, [hint]) == [other, ("/elsewhere/a.jpg", FIRST_STAR)]
    assert rating_hints.without_first_stars(problems, []) == problems
