"""The review page's HTML, with its first photos in it."""

from __future__ import annotations

import base64
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.templating import Jinja2Templates

from maclip_daemon import __version__
from maclip_daemon.web.opening.first_window import FirstWindow
from maclip_daemon.web.preview_queue import PreviewQueue

WEB = Path(__file__).parents[1]
# What review.js imports, loaded beside it and not after it.
_MODULES = sorted({each.name for each in (WEB / "static").glob("*.js")} - {"review.js", "status.js"})


class PageTemplate:
    """The page, for any number of requests. Pictures that are made already are painted with it."""

    def __init__(self, previews: PreviewQueue) -> None:
        self._previews = previews
        self._templates = Jinja2Templates(WEB / "templates")

    def response(self, request: Request, window: FirstWindow | None) -> Response:
        """Return the page. `window`: its first photos; None where its scripts ask for them."""
        made = window.made_pictures(self._previews) if window else {}
        pictures = {
            photo_id: f"data:image/jpeg;base64,{base64.b64encode(picture).decode('ascii')}"
            for photo_id, picture in made.items()
        }
        words = {"version": __version__, "modules": _MODULES, "window": window, "pictures": pictures}
        return self._templates.TemplateResponse(request, "review.html", words)
