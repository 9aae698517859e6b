"""The review page as a Starlette application: its addresses, and what each answers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries import rejected_photos, review_photos
from maclip_daemon.library.queries.finding import equipment, folder_list
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage import notes
from maclip_daemon.pipeline.commands.culling.cull_folder import WatchedFolders
from maclip_daemon.web import access, answers, decision_body, filter_params
from maclip_daemon.web.opening import first_window
from maclip_daemon.web.opening.page_template import WEB, PageTemplate
from maclip_daemon.web.opening.review_scope import PLACE_NOTE, ReviewScope
from maclip_daemon.web.preview_queue import LONG_EDGES
from maclip_daemon.web.rejected_pages import RejectedPages
from maclip_daemon.web.review import Review

_LONGEST_PLACE = 2000  # characters
MOST_ROWS = 200  # of one request
MOST_FOLDERS = 5000  # to choose from; a longer list helps nobody
_LARGEST_OFFSET = 1 << 32


class ReviewPages:
    """The handlers. Those that read the library or wait for pictures run in threads."""

    def __init__(self, review: Review, scope: ReviewScope) -> None:
        self._review = review
        self._scope = scope
        self._template = PageTemplate(review.previews)

    def page(self, request: Request) -> Response:
        """Return the page itself, with its first photos where its link was opened.

        A reload has its filter in a part of the address that no server sees.
        """
        if not access.is_opening(request.scope):
            return self._template.response(request, None)
        serial = self._review.changes.serial
        with self._review.library.snapshot() as snapshot:
            window = first_window.read(snapshot, self._scope, serial)
        return self._template.response(request, window)

    def start(self, _request: Request) -> Response:
        """Return the filter to begin with, and the place of last time."""
        serial = self._review.changes.serial
        with self._review.library.snapshot() as snapshot:
            query = self._scope.query or self._scope.last_place(snapshot)
        return JSONResponse({"query": query, "serial": serial})

    def equipment(self, _request: Request) -> Response:
        """Return the cameras, lenses and folders that one can filter by."""
        with self._review.library.snapshot() as snapshot:
            known = {
                "cameras": [printable_utf8(name) for name in equipment.names(snapshot, "camera")],
                "lenses": [printable_utf8(name) for name in equipment.names(snapshot, "lens")],
                "folders": [printable_utf8(path) for path in self._folders(snapshot)],
            }
        return JSONResponse(known)

    def _folders(self, snapshot: Any) -> list[str]:
        return folder_list.folders(snapshot, self._scope.under)[:MOST_FOLDERS]

    async def remember(self, request: Request) -> Response:
        """Remember where the person is, for the next run."""
        place = decision_body.text(await decision_body.of(request), _LONGEST_PLACE)
        await run_in_threadpool(self._remember, place)
        return JSONResponse({})

    def _remember(self, place: str) -> None:
        note = {"scope": self._scope.text, "at": place}
        with self._review.library.writing() as session:
            notes.put_note(session, PLACE_NOTE, note, time.time())

    def summary(self, _request: Request) -> Response:
        """Return how many photos have which of the person's ratings, and the files of the rejected ones."""
        with self._review.library.snapshot() as snapshot:
            rejected = rejected_photos.rejected(snapshot, PhotoFilter(under=self._scope.under))
            counts = rejected_photos.counts(snapshot, PhotoFilter(under=self._scope.under))
        paths = [printable_utf8(each.path) for each in rejected]
        return JSONResponse({"counts": counts, "rejected": paths})

    def burst(self, request: Request) -> Response:
        """Return the shots of a photo's group, the best first; none when it is alone."""
        with self._review.library.snapshot() as snapshot:
            ids = review_photos.burst_ids(snapshot, request.path_params["photo_id"])
        rows = self._review.photos(ids[:MOST_ROWS])
        return JSONResponse({"photos": [answers.photo(row) for row in rows]})

    def photos(self, request: Request) -> Response:
        """Return a part of the chosen photos, and how many they are."""
        review, params = self._review, request.query_params
        chosen = self._named(filter_params.parse(params, self._scope.under, self._scope.worst))
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

    def _named(self, chosen: PhotoFilter) -> PhotoFilter:
        """Return the filter with its folder's own bytes, which an address cannot hold."""
        if "\\" not in chosen.folder:
            return chosen
        with self._review.library.snapshot() as snapshot:
            return replace(chosen, folder=folder_list.named(snapshot, chosen.folder))

    def preview(self, request: Request) -> Response:
        """Return a picture of a photo."""
        kind = request.path_params["kind"]
        if kind not in LONG_EDGES:
            raise errors.UsageError("There is no such kind of picture.")
        rows = self._review.photos([request.path_params["photo_id"]])
        if not rows:
            raise errors.FileChanged("The library does not know this photo.")
        is_soon = request.query_params.get("soon") == "1"
        return answers.picture(self._review.previews.get(first_window.wanted(rows[0], kind), soon=is_soon))

    async def decide(self, request: Request) -> Response:
        """Store and write decisions; return what became of each, and the photos as they are now."""
        decided = decision_body.parse(await decision_body.of(request))
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


def application(review: Review, scope: ReviewScope, watched: WatchedFolders) -> Starlette:
    """Return the application for one run of the page; `access.AccessGuard` goes around it."""
    pages = ReviewPages(review, scope)
    rejected = RejectedPages(review.moves, review.running_move, watched, scope.under)
    return Starlette(
        routes=[
            Route("/", pages.page),
            Route("/api/start", pages.start),
            Route("/api/summary", pages.summary),
            Route("/api/equipment", pages.equipment),
            Route("/api/place", pages.remember, methods=["POST"]),
            Route("/api/burst/{photo_id:int}", pages.burst),
            Route("/api/photos", pages.photos),
            Route("/api/changes", pages.changes),
            Route("/api/decisions", pages.decide, methods=["POST"]),
            Route("/api/undo/{what:str}", pages.undo, methods=["POST"]),
            *rejected.routes(),
            Route("/preview/{photo_id:int}/{kind}", pages.preview),
            Mount("/static", StaticFiles(directory=WEB / "static")),
        ],
        exception_handlers={errors.MaclipError: answers.problem},
    )
