"""The filter in an address of the page becomes a `PhotoFilter`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from maclip_daemon.errors import UsageError
from maclip_daemon.library.queries.finding import filter_words
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter


def parse(params: Mapping[str, str], under: tuple[str, ...], worst: int | None) -> PhotoFilter:
    """Return the filter. Raises `UsageError` that names the parameter.

    `under`, `worst`: what `maclip review` was started for; the page can only look at less.
    """
    return replace(filter_words.parse(params), under=under, worst=worst)


def whole(params: Mapping[str, str], name: str, largest: int, default: int = 0) -> int:
    """Return a whole number from 0 to `largest`. Raises `UsageError`."""
    text = params.get(name, str(default))
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII) or int(text) > largest:
        raise UsageError(f"{name}: this must be a whole number from 0 to {largest}.")
    return int(text)
