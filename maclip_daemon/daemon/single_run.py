"""One run to the end: scan, score and rate all that is new, as `maclip run --once` does."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

from maclip_daemon.daemon.lock import locked
from maclip_daemon.daemon.log_format import configure_logging
from maclip_daemon.daemon.run_observer import RunObserver, observing
from maclip_daemon.daemon.watched_folders import folders_to_watch
from maclip_daemon.library.queries.other_libraries import shared_folders
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.run_state import Tally
from maclip_daemon.pipeline.scoring.score_jobs import ScoreSource
from maclip_daemon.settings import Settings


def run_once(
    settings: Settings,
    folders: Sequence[Path],
    progress: Callable[[Pipeline], None],
    observer: RunObserver | None = None,
    elsewhere: ScoreSource | None = None,
) -> Tally:
    """Scan the folders, score and rate all that is new, and return what was done.

    `elsewhere`: where scores may be found in place of computing them.
    SIGINT and SIGTERM finish or release the current work; the next run goes on there.
    Raises like `Daemon.run`.
    """
    configure_logging(settings.log)
    observer = observer or RunObserver()

    def look(pipeline: Pipeline) -> None:
        progress(pipeline)
        observer.update(pipeline)

    with (
        locked(settings.data_dir),
        observing(observer, settings),
        contextlib.closing(Library.open(settings.database_path)) as library,
    ):
        pipeline = Pipeline(
            settings, library, folders_to_watch(settings, folders), once=True, elsewhere=elsewhere
        )
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            pipeline.start()
            pipeline.run_to_the_end(look)
            observer.finish(pipeline)
            for root in pipeline.discovery.roots:
                if root.report is not None:
                    pipeline.state.tally.passed_over.add(root.report.passed_over)
            pipeline.state.tally.offline = [
                root.health.reason for root in pipeline.discovery.roots if root.health and root.health.reason
            ]
            with library.snapshot() as snapshot:
                pipeline.state.tally.shared = [each.sentence() for each in shared_folders(snapshot)]
        finally:
            pipeline.stop()
            signal.signal(signal.SIGTERM, before)
        return pipeline.state.tally
