"""The filter in an address of the page becomes a `PhotoFilter`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast, get_args

from maclip_daemon.errors import UsageError
from maclip_daemon.library.queries.review_photos import Mine, Order, PhotoFilter

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST_NAME = 255  # characters
KINDS = ("", "any", "burst", "bracket", "panorama", "focus stack", "duplicate", "time lapse")


def parse(params: Mapping[str, str], under: tuple[str, ...], worst: int | None) -> PhotoFilter:
    """Return the filter. Raises `UsageError` that names the parameter.

    `under`, `worst`: what `maclip review` was started for; the page can only look at less.
    """
    stars = params.get("stars", "")
    if not re.fullmatch(r"[1-5]?(,[1-5])*", stars):
        raise UsageError("stars: name stars from 1 to 5, such as 1,2.")
    return PhotoFilter(
        order=cast("Order", _one_of("order", params.get("order", "worst"), get_args(Order))),
        under=under,
        stars=tuple(int(star) for star in stars.split(",") if star),
        mine=cast("Mine", _one_of("mine", params.get("mine", "any"), get_args(Mine))),
        since=_date("since", params.get("since", "")),
        until=_date("until", params.get("until", "")),
        name=_text("name", params),
        camera=_text("camera", params),
        lens=_text("lens", params),
        kind=_one_of("kind", params.get("kind", ""), KINDS),
        worst=worst,
    )


def whole(params: Mapping[str, str], name: str, largest: int, default: int = 0) -> int:
    """Return a whole number from 0 to `largest`. Raises `UsageError`."""
    text = params.get(name, str(default))
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) > largest:
        raise UsageError(f"{name}: this must be a whole number from 0 to {largest}.")
    return int(text)


def _text(name: str, params: Mapping[str, str]) -> str:
    value = params.get(name, "")
    if len(value) > _LONGEST_NAME or "\0" in value:
        raise UsageError(f"{name}: this is too long.")
    return value


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise UsageError(f"{name}: choose {', '.join(allowed)}.")
    return value


def _date(name: str, value: str) -> str | None:
    if value and not _DATE.fullmatch(value):
        raise UsageError(f"{name}: write a date as 2026-05-01.")
    return value or None
