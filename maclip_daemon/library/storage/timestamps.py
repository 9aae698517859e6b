"""Times in the database: UTC, ISO 8601, milliseconds, one width, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime


def text(now: float) -> str:
    """Return Unix seconds as `2026-11-20T03:41:41.123Z`."""
    moment = datetime.fromtimestamp(now, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def seconds(moment: str) -> float:
    """Return the Unix seconds of a text that `text` made."""
    return datetime.fromisoformat(moment).timestamp()
