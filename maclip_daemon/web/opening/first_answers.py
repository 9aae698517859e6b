"""Answers what the first pictures need; everything else waits for the rest of the page."""

from __future__ import annotations

import mimetypes

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from maclip_daemon import errors
from maclip_daemon.web import access, answers
from maclip_daemon.web.opening.first_window import FirstWindow, wanted
from maclip_daemon.web.opening.later_app import LaterApp
from maclip_daemon.web.opening.page_template import WEB, PageTemplate
from maclip_daemon.web.preview_queue import PreviewQueue

_ENDS = "The review page cannot go on. Its terminal says why."


class FirstAnswers:
    """ASGI: the page, its static files and the first previews, until `rest` is loaded."""

    def __init__(self, window: FirstWindow | None, previews: PreviewQueue, rest: LaterApp) -> None:
        self._window = window
        self._previews = previews
        self._rest = rest
        self._template = PageTemplate(previews)
        self._rows = {row.id: row for row in window.rows} if window else {}
        self._files = {each.name: each for each in (WEB / "static").iterdir()}
        self._own = Starlette(
            routes=[
                Route("/", self._page),
                Route("/static/{name}", self._file),
                Route("/preview/{photo_id:int}/grid", self._preview),
            ],
            exception_handlers={errors.MaclipError: answers.problem},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on what the rest answers."""
        app = self._rest.app or (self._own if self._knows(scope["path"]) else await self._rest.loaded())
        await (app or PlainTextResponse(_ENDS, 503))(scope, receive, send)

    def end(self) -> None:
        """Let no request wait any longer; called in the event loop."""
        self._rest.give_up()
        self._previews.refuse()

    def _knows(self, path: str) -> bool:
        first, _, rest = path.strip("/").partition("/")
        if first == "preview":
            number, _, kind = rest.partition("/")
            return kind == "grid" and number.isdecimal() and int(number) in self._rows
        return first == "" or (first == "static" and rest in self._files)

    def _page(self, request: Request) -> Response:
        return self._template.response(request, self._window if access.is_opening(request.scope) else None)

    async def _file(self, request: Request) -> Response:
        """Return a static file without a thread: a dozen small ones come before the first picture."""
        path = self._files[request.path_params["name"]]
        kind, _ = mimetypes.guess_type(path.name)
        return Response(path.read_bytes(), media_type=kind)

    def _preview(self, request: Request) -> Response:
        row = self._rows[request.path_params["photo_id"]]
        begun = BackgroundTask(self._rest.begin)
        return answers.picture(self._previews.get(wanted(row, "grid")), begun)
