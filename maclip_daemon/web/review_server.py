"""Start and end of the review page: its first photos at once, the rest of it beside them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from maclip_daemon.settings import Settings
from maclip_daemon.web.access import AccessGuard
from maclip_daemon.web.http_server import http_server
from maclip_daemon.web.opening.first_answers import FirstAnswers
from maclip_daemon.web.opening.first_window import FirstWindow
from maclip_daemon.web.opening.later_app import LaterApp
from maclip_daemon.web.opening.review_scope import ReviewScope
from maclip_daemon.web.preview_queue import PreviewQueue
from maclip_daemon.web.review_address import ReviewAddress

if TYPE_CHECKING:
    from maclip_daemon.library.storage.database import Library


class ReviewServer:
    """One run of the page. `open_library`: called in a thread, after the first pictures."""

    def __init__(
        self,
        open_library: Callable[[], Library],
        settings: Settings,
        scope: ReviewScope,
        previews: PreviewQueue,
    ) -> None:
        self._open_library = open_library
        self._settings = settings
        self._scope = scope
        self._previews = previews
        self._ends = contextlib.ExitStack()

    def serve(
        self, address: ReviewAddress, window: FirstWindow | None, is_to_end: Callable[[], bool]
    ) -> None:
        """Serve the page at its address until `is_to_end`, which is asked ten times a second.

        Raises what keeps the rest of the page from being loaded, such as `DatabaseUnfit`.
        """
        shown = [row.id for row in window.rows] if window else []
        rest = LaterApp(lambda: self._load(shown), self._stop)
        app = FirstAnswers(window, self._previews, rest)
        guard = AccessGuard(app, address.keys, address.hosts, is_shown_at_once=True)
        self._server = http_server(guard, app.end, is_to_end)
        rest.start()
        with self._ends:
            try:
                self._server.run(sockets=[address.listener])
            finally:
                rest.end()

    def _load(self, shown: Sequence[int]) -> ASGIApp:
        from maclip_daemon.web.loaded_review import loaded

        library = self._ends.enter_context(contextlib.closing(self._open_library()))
        return self._ends.enter_context(loaded(library, self._settings, self._scope, self._previews, shown))

    def _stop(self) -> None:
        self._server.should_exit = True
