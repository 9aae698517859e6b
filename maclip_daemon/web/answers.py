"""Answers of the page as JSON. Names and metadata are text; a photo is known by its id, never by its path."""

from __future__ import annotations

import os
from typing import Any

from blake3 import blake3
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries.review_photos import ReviewPhoto

_STATUS: tuple[tuple[type[errors.MaclipError], int], ...] = (
    (errors.UsageError, 400),
    (errors.Poison, 422),
    (errors.FileChanged, 404),
    (errors.Transient, 503),
)
_A_DAY = "private, max-age=86400, immutable"


def photo(row: ReviewPhoto) -> dict[str, Any]:
    """Return a photo as the page's scripts know it."""
    folder, name = os.path.split(row.path)
    return {
        "id": row.id,
        "name": printable_utf8(name),
        "folder": printable_utf8(folder),
        "version": version(row),
        "state": row.state,
        "width": row.width,
        "height": row.height,
        "taken": row.taken_at,
        "mine": (row.rating or 0) if row.owner == "person" else None,
        "waiting": row.waiting,
        "picked": bool(row.is_picked),
        "score": row.score,
        "percentile": row.percentile,
        "stars": row.stars,
        "files": 1 + row.partners,
        "reasons": row.reasons or "",
        "exif": exif_line(row),
        "burst": row.burst_id,
        "kind": row.burst_kind,
        "rank": row.burst_rank,
        "close": bool(row.is_close),
    }


def exif_line(row: ReviewPhoto) -> str:
    """Return camera, lens and exposure, as far as the library knows them."""
    parts = [row.camera, row.lens]
    if row.focal_mm:
        parts.append(f"{row.focal_mm:g} mm")
    if row.aperture:
        parts.append(f"f/{row.aperture:.2g}")
    if row.exposure_s:
        is_fraction = row.exposure_s < 0.3
        parts.append(f"1/{round(1 / row.exposure_s)} s" if is_fraction else f"{row.exposure_s:.2g} s")
    if row.iso:
        parts.append(f"ISO {row.iso:g}")
    return " · ".join(printable_utf8(part) for part in parts if part)


def version(row: ReviewPhoto) -> str:
    """Return a text that changes whenever the photo's file does."""
    return blake3(f"{row.size} {row.mtime_ns}".encode()).hexdigest()[:12]


def picture(data: bytes, background: BackgroundTask | None = None) -> Response:
    """Return a JPEG, which the browser may keep: its address changes with the photo's file."""
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": _A_DAY}, background=background)


async def problem(_request: Request, error: Exception) -> JSONResponse:
    """Return the answer to an error that has a sentence for people."""
    assert isinstance(error, errors.MaclipError)
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    return JSONResponse({"error": printable_utf8(str(error))}, status)
