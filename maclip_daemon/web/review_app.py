"""The review page as a Starlette application: its addresses, and what each answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from maclip_daemon import __version__, errors
from maclip_daemon.web import answers, decision_body, filter_params
from maclip_daemon.web.preview_queue import LONG_EDGES, PreviewKind, WantedPreview
from maclip_daemon.web.review import Review

_HERE = Path(__file__).parent
MOST_ROWS = 200  # of one request
_LARGEST_OFFSET = 1 << 32
_A_DAY = "private, max-age=86400, immutable"


class ReviewPages:
    """The handlers. Those that read the library or wait for pictures run in threads."""

    def __init__(self, review: Review, under: tuple[str, ...] = (), worst: int | None = None) -> None:
        """`under`, `worst`: what `maclip review` was started for."""
        self._review = review
        self._under = under
        self._worst = worst
        self._templates = Jinja2Templates(_HERE / "templates")

    def page(self, request: Request) -> Response:
        """Return the page itself."""
        return self._templates.TemplateResponse(request, "review.html", {"version": __version__})

    def photos(self, request: Request) -> Response:
        """Return a part of the chosen photos, and how many they are."""
        review, params = self._review, request.query_params
        chosen = filter_params.parse(params, self._under, self._worst)
        offset = filter_params.whole(params, "offset", _LARGEST_OFFSET)
        count = filter_params.whole(params, "count", MOST_ROWS, 100)
        found = review.sets.get(chosen, renew=params.get("renew") == "1")
        ids = review.sets.page(found, offset, count)
        is_whole = found.is_whole.is_set()
        return JSONResponse(
            {
                "photos": [answers.photo(row) for row in review.photos(ids)],
                "total": len(found.ids) if is_whole else None,
                "rated": len(found.rated),
                "pace": round(review.pace(), 1),
            }
        )

    def preview(self, request: Request) -> Response:
        """Return a picture of a photo."""
        kind = request.path_params["kind"]
        if kind not in LONG_EDGES:
            raise errors.UsageError("There is no such kind of picture.")
        rows = self._review.photos([request.path_params["photo_id"]])
        if not rows:
            raise errors.FileChanged("The library does not know this photo.")
        wanted = WantedPreview(rows[0].path, answers.version(rows[0]), _kind(kind))
        data = self._review.previews.get(wanted, soon=request.query_params.get("soon") == "1")
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": _A_DAY})

    async def decide(self, request: Request) -> Response:
        """Store and write decisions; return what became of each, and the photos as they are now."""
        decided = decision_body.parse(await _body(request))
        return await run_in_threadpool(self._decide, decided)

    def _decide(self, decided: list[Any]) -> Response:
        results = self._review.decide(decided)
        outcomes = [
            {"id": each.photo_id, "outcome": each.outcome, "rating": each.rating, "reason": each.reason}
            for each in results
        ]
        return self._changed(outcomes)

    def undo(self, request: Request) -> Response:
        """Undo the last key press of this run, or all of them."""
        is_all = request.path_params["what"] == "all"
        undone = self._review.undo_all() if is_all else self._review.undo_last()
        outcomes = [{"id": each.photo_id, "done": each.is_done, "reason": each.reason} for each in undone]
        return self._changed(outcomes)

    def _changed(self, outcomes: list[dict[str, Any]]) -> Response:
        rows = self._review.photos([each["id"] for each in outcomes][:MOST_ROWS])
        return JSONResponse({"results": outcomes, "photos": [answers.photo(row) for row in rows]})

    def changes(self, request: Request) -> Response:
        """Return the photos that changed since a page looked, and the decisions that wait."""
        after = filter_params.whole(request.query_params, "after", _LARGEST_OFFSET)
        serial, photo_ids = self._review.changes.since(after)
        waiting = list(self._review.waiting.values())
        rows = self._review.photos(photo_ids[:MOST_ROWS])
        return JSONResponse(
            {
                "serial": serial,
                "is_all": len(photo_ids) <= MOST_ROWS,
                "photos": [answers.photo(row) for row in rows],
                "waiting": len(waiting),
                "reason": waiting[-1] if waiting else "",
            }
        )


def application(review: Review, under: tuple[str, ...] = (), worst: int | None = None) -> Starlette:
    """Return the application for one run of the page; `access.AccessGuard` goes around it."""
    pages = ReviewPages(review, under, worst)
    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/api/photos", pages.photos),
            Route("/api/changes", pages.changes),
            Route("/api/decisions", pages.decide, methods=["POST"]),
            Route("/api/undo/{what:str}", pages.undo, methods=["POST"]),
            Route("/preview/{photo_id:int}/{kind}", pages.preview),
            Mount("/static", StaticFiles(directory=_HERE / "static")),
        ],
        exception_handlers={errors.MaclipError: answers.problem},
    )


def _kind(name: str) -> PreviewKind:
    kinds: dict[str, PreviewKind] = {"grid": "grid", "screen": "screen", "full": "full"}
    return kinds[name]


async def _body(request: Request) -> bytes:
    """Return the body of a request. Raises `UsageError` when it is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > decision_body.BODY_LIMIT:
            raise errors.UsageError("The request is too long.")
    return body
