"""All of the review page: loaded, served and ended as one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from starlette.applications import Starlette

from maclip_daemon.daemon import lock
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline import known_roots
from maclip_daemon.pipeline.commands.culling import cull_folder
from maclip_daemon.pipeline.commands.culling.rejected_moves import RejectedMoves
from maclip_daemon.pipeline.commands.decide import Decider
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites
from maclip_daemon.pipeline.commands.undo_decisions import DecisionUndo
from maclip_daemon.pipeline.recovery import recover
from maclip_daemon.settings import Settings
from maclip_daemon.web import review_app
from maclip_daemon.web.opening.review_scope import ReviewScope
from maclip_daemon.web.preview_queue import PreviewQueue
from maclip_daemon.web.review import Review


@contextlib.contextmanager
def loaded(
    library: Library, settings: Settings, scope: ReviewScope, previews: PreviewQueue, shown: Sequence[int]
) -> Iterator[Starlette]:
    """Yield the application; its threads and processes end with the block.

    `shown`: photos that pages show already, as they were before a killed run's writes were finished.
    """
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    known_roots.refresh_mounts(library, probe)
    _finish_writes_of_killed_run(library, settings, probe)
    roots = known_roots.paths(library)
    with MetadataWriter(roots) as writer:
        writes = JournalledWrites(library, writer, probe, time.time)
        decider = Decider(writes, settings)
        moves = RejectedMoves(writes, decider.lock)
        review = Review(library, decider, DecisionUndo(writes, decider), moves, previews)
        review.changes.add(shown)
        review.start()
        try:
            watched = cull_folder.watched_folders([str(root) for root in roots], settings)
            yield review_app.application(review, scope, watched)
        finally:
            review.stop()


def _finish_writes_of_killed_run(library: Library, settings: Settings, probe: FilesystemProbe) -> None:
    if lock.is_running(settings.data_dir):
        return
    with lock.locked(settings.data_dir):
        recover(library, probe, settings.data_dir / "spool", time.time())
