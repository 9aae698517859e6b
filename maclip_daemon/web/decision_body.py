"""The body of a request with decisions: checked field by field."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from maclip_daemon.errors import UsageError
from maclip_daemon.library.results.decisions import NewDecision

MOST = 200  # decisions of one key press: a burst
BODY_LIMIT = 64 << 10  # bytes
_KEYS = frozenset({"id", "rating", "pick", "seen"})


async def of(request: Request) -> bytes:
    """Return the body of a request. Raises `UsageError` when it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > BODY_LIMIT:
            raise UsageError("The request is too long.")
    return body


def parse(body: bytes) -> list[NewDecision]:
    """Return the decisions. Raises `UsageError` for anything else."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("The request is not valid JSON.") from None
    items = message.get("decisions") if isinstance(message, dict) else None
    if not isinstance(items, list) or not 1 <= len(items) <= MOST:
        raise UsageError(f"decisions: this must be a list of 1 to {MOST} decisions.")
    decided = [_decision(item) for item in items]
    if len({each.photo_id for each in decided}) < len(decided):
        raise UsageError("decisions: a photo is named twice.")
    return decided


def text(body: bytes, longest: int) -> str:
    """Return a body that is one JSON text. Raises `UsageError`."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("The request is not valid JSON.") from None
    if not isinstance(found, str) or len(found) > longest:
        raise UsageError(f"This must be a text of at most {longest} characters.")
    return found


def _decision(item: Any) -> NewDecision:
    if not isinstance(item, dict) or not item.keys() <= _KEYS:
        raise UsageError("decisions: each has id, and rating or pick, and seen.")
    rating, pick, seen = (item.get(name) for name in ("rating", "pick", "seen"))
    photo_id = item.get("id")
    if type(photo_id) is not int or not 0 < photo_id < 1 << 62:
        raise UsageError("id: this must be the number of a photo.")
    for name, value in (("rating", rating), ("seen", seen)):
        if value is not None and (type(value) is not int or not -1 <= value <= 5):
            raise UsageError(f"{name}: this must be a whole number from -1 to 5.")
    if pick is not None and type(pick) is not bool:
        raise UsageError("pick: this must be true or false.")
    if rating is None and pick is None:
        raise UsageError("decisions: one decides nothing.")
    return NewDecision(photo_id, rating, pick, seen)
