"""The first pictures of a page: begun while its server is still loaded, which takes as long as they do."""

from __future__ import annotations

from maclip_daemon.library.queries.finding import folder_list
from maclip_daemon.library.storage.open_readonly import ReadOnlyLibrary
from maclip_daemon.settings import Settings
from maclip_daemon.web import preview_queue
from maclip_daemon.web.opening import first_window
from maclip_daemon.web.opening.first_window import FirstWindow
from maclip_daemon.web.opening.review_scope import ReviewScope
from maclip_daemon.web.preview_queue import PreviewQueue


def begin(
    reader: ReadOnlyLibrary, settings: Settings, scope: ReviewScope
) -> tuple[FirstWindow | None, PreviewQueue]:
    """Return the first photos and the queue that makes their pictures; whoever gets it closes it."""
    with reader.snapshot() as snapshot:
        roots = folder_list.roots(snapshot)
        window = first_window.read(snapshot, scope)
    previews = preview_queue.for_library(settings, roots)
    if window is not None:
        window.begin_pictures(previews)
    return window, previews
