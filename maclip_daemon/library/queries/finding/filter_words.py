"""The words of a filter, as options and addresses of the page have them, become a `PhotoFilter`."""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from typing import cast, get_args

from maclip_daemon.errors import UsageError
from maclip_daemon.library.queries.finding.photo_filter import Kind, Mine, Order, PhotoFilter, Reason

WORDS = ("order", "stars", "mine", "since", "until", "name", "camera", "lens", "kind", "reason", "folder")
_DATE = re.compile(r"([12]\d{3})(?:-(0[1-9]|1[0-2])(?:-(0[1-9]|[12]\d|3[01]))?)?", re.ASCII)
_LONGEST_TEXT = 255  # characters
_LONGEST_PATH = 4096


def parse(words: Mapping[str, str]) -> PhotoFilter:
    """Return the filter. Raises `UsageError` that names the word.

    The folder is not looked up: it is a path as the library stores it.
    """
    stars = words.get("stars", "")
    if not re.fullmatch(r"(?:[1-5](?:,[1-5])*)?", stars):
        raise UsageError("stars: name stars from 1 to 5, such as 1,2.")
    return PhotoFilter(
        order=cast("Order", _one_of("order", words.get("order", "worst"), get_args(Order))),
        folder=_text("folder", words, _LONGEST_PATH),
        stars=tuple(sorted({int(star) for star in stars.split(",") if star})),
        mine=cast("Mine", _one_of("mine", words.get("mine", "any"), get_args(Mine))),
        since=_day("since", words.get("since", ""), is_last=False),
        until=_day("until", words.get("until", ""), is_last=True),
        name=_text("name", words),
        camera=_text("camera", words),
        lens=_text("lens", words),
        kind=cast("Kind", _one_of("kind", words.get("kind", ""), get_args(Kind))),
        reason=cast("Reason", _one_of("reason", words.get("reason", ""), get_args(Reason))),
    )


def _text(name: str, words: Mapping[str, str], longest: int = _LONGEST_TEXT) -> str:
    value = words.get(name, "")
    if len(value) > longest or "\0" in value:
        raise UsageError(f"{name}: this is too long.")
    return value


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise UsageError(f"{name}: choose {', '.join(filter(None, allowed))}.")
    return value


def _day(name: str, value: str, *, is_last: bool) -> str | None:
    """Return the first or last day of a date, a month or a year; None for an empty text."""
    if not value:
        return None
    found = _DATE.fullmatch(value)
    if found is None:
        raise UsageError(f"{name}: write a date as 2026-05-01, a month as 2026-05 or a year as 2026.")
    year, month, day = found.groups()
    month = month or ("12" if is_last else "01")
    last = calendar.monthrange(int(year), int(month))[1]
    if day is not None and int(day) > last:
        raise UsageError(f"{name}: {value} is no date; that month has {last} days.")
    return f"{year}-{month}-{day or (f'{last:02}' if is_last else '01')}"
