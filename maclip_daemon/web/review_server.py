"""Start and end of what serves the review page: the threads and the processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import platformdirs

from maclip_daemon.daemon import lock
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline import known_roots
from maclip_daemon.pipeline.commands.culling.cull_folder import WatchedFolders
from maclip_daemon.pipeline.commands.culling.rejected_moves import RejectedMoves
from maclip_daemon.pipeline.commands.decide import Decider
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites
from maclip_daemon.pipeline.commands.undo_decisions import DecisionUndo
from maclip_daemon.pipeline.recovery import recover
from maclip_daemon.settings import APPLICATION, Settings
from maclip_daemon.web import first_pictures, preview_queue, review_app
from maclip_daemon.web.access import AccessGuard
from maclip_daemon.web.http_server import http_server
from maclip_daemon.web.preview_cache import PreviewCache
from maclip_daemon.web.review import Review
from maclip_daemon.web.review_address import ReviewAddress
from maclip_daemon.web.review_app import ReviewScope

MOST_PREVIEWERS = 4


def serve(library: Library, settings: Settings, scope: ReviewScope, address: ReviewAddress) -> None:
    """Serve the page at its address until Ctrl-C, which raises `KeyboardInterrupt`."""
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    known_roots.refresh_mounts(library, probe)
    _finish_writes_of_killed_run(library, settings, probe)
    roots = known_roots.paths(library)
    with MetadataWriter(roots) as writer:
        writes = JournalledWrites(library, writer, probe, time.time)
        decider = Decider(writes, settings)
        cache = PreviewCache(_cache_folder(), settings.review.cache_mib << 20)
        workers = min(os.cpu_count() or 1, MOST_PREVIEWERS)
        previews = preview_queue.for_library(cache, settings.decoding, roots, workers)
        moves = RejectedMoves(writes, decider.lock)
        review = Review(library, decider, DecisionUndo(writes, decider), moves, previews)
        review.start()
        try:
            first_pictures.prepare(review, scope)
            own = [os.path.realpath(folder) for folder in (settings.data_dir, _cache_folder())]
            watched = WatchedFolders([str(root) for root in roots], Exclusion(settings.folders.exclude), own)
            page = review_app.application(review, scope, watched)
            http_server(AccessGuard(page, address.keys, address.hosts)).run(sockets=[address.listener])
        finally:
            review.stop()


def _finish_writes_of_killed_run(library: Library, settings: Settings, probe: FilesystemProbe) -> None:
    if lock.is_running(settings.data_dir):
        return
    with lock.locked(settings.data_dir):
        recover(library, probe, settings.data_dir / "spool", time.time())


def _cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir(APPLICATION, appauthor=False)) / "previews"
