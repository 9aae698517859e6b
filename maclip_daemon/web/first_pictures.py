"""The pictures that a page shows first, made while the browser still starts."""

from __future__ import annotations

import threading
from urllib.parse import parse_qsl

from maclip_daemon import errors
from maclip_daemon.library.queries import review_photos
from maclip_daemon.web import answers, filter_params
from maclip_daemon.web.preview_queue import WantedPreview
from maclip_daemon.web.review import Review
from maclip_daemon.web.review_app import ReviewScope

IN_VIEW = 30  # photos of the grid's first rows


def prepare(review: Review, scope: ReviewScope) -> threading.Thread:
    """Begin to make the first pictures, in the returned thread: the preview processes start with them."""
    thread = threading.Thread(target=_prepare, args=(review, scope), name="first pictures", daemon=True)
    thread.start()
    return thread


def _prepare(review: Review, scope: ReviewScope) -> None:
    try:
        chosen = filter_params.parse(dict(parse_qsl(scope.query)), scope.under, scope.worst)
        with review.library.snapshot() as snapshot:
            ids, _ = review_photos.ids(snapshot, chosen, IN_VIEW)
        for row in review.photos(ids):
            review.previews.prepare(WantedPreview(row.path, answers.version(row), "grid"))
    except errors.MaclipError:
        return  # the page asks for the same, and says what is wrong
