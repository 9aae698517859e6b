"""A photo's place among photos of one moment, in a sentence."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from maclip_daemon.files.paths import printable

if TYPE_CHECKING:
    from maclip_daemon.library.queries.burst_list import Burst, BurstMember

_WHOLE = "one of {members} in a {kind}, which is kept whole"


def sentence(burst: Burst, path: str) -> str:
    """Return for example `3rd of 7 in a burst, too close to call with IMG_0042.jpg`."""
    mine = next(frame for frame in burst.frames if frame.path == path)
    if mine.rank is None:
        if burst.kind in ("burst", "duplicate"):
            return f"one of {burst.members} in a {burst.kind}, not ranked yet"
        return _WHOLE.format(members=burst.members, kind=burst.kind)
    if burst.kind == "duplicate":
        if mine.rank == 1:
            return f"the largest of {burst.members} copies of one picture"
        return f"one of {burst.members} copies of one picture; the largest is {_name(burst.best, path)}"
    place = "best" if mine.rank == 1 else _ordinal(mine.rank)
    close = _close_to(burst, mine)
    also = "" if close is None else f", too close to call with {_name(close.path, path)}"
    return f"{place} of {burst.members} in a burst{also}"


def _close_to(burst: Burst, mine: BurstMember) -> BurstMember | None:
    """Return the frame that may be as good: the best, or for the best the next one."""
    if mine.rank != 1:
        return burst.frames[0] if mine.is_too_close else None
    return next((frame for frame in burst.frames if frame.rank == 2 and frame.is_too_close), None)


def _name(other: str | None, path: str) -> str:
    """Return the other photo's name, with its folder where that is another one."""
    if other is None:
        return "missing"
    same = os.path.dirname(other) == os.path.dirname(path)  # noqa: PTH120 - a string of any bytes
    return printable(os.path.basename(other) if same else other)  # noqa: PTH119


def _ordinal(number: int) -> str:
    if 10 < number % 100 < 14:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
