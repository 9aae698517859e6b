"""Start and end of the review page: the address, the secret, the threads and the processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import filelock
import platformdirs

from maclip_daemon.daemon import lock
from maclip_daemon.errors import AlreadyRunning, EnvironmentUnfit
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
from maclip_daemon.web.access import OPEN_PATH, AccessGuard, Keys, secret
from maclip_daemon.web.addresses import LOOPBACK, base_address, host_headers
from maclip_daemon.web.http_server import http_server
from maclip_daemon.web.preview_cache import PreviewCache
from maclip_daemon.web.review import Review
from maclip_daemon.web.review_app import ReviewScope

MOST_PREVIEWERS = 4


@dataclass(frozen=True)
class ReviewOptions:
    """What `maclip review` was asked for."""

    scope: ReviewScope
    host: str = LOOPBACK
    port: int | None = None
    """None: the setting's, or a free one when that is taken."""


@dataclass(frozen=True)
class Links:
    """The addresses of a page that is ready."""

    printed: str
    """For the terminal; opens the page as often as it is used."""
    once: str
    """For the browser that is started."""


def serve(
    library: Library, settings: Settings, options: ReviewOptions, on_ready: Callable[[Links], None]
) -> None:
    """Serve the page until Ctrl-C or SIGTERM. Raises `AlreadyRunning`, `EnvironmentUnfit`."""
    with _only_one(settings.data_dir), _listening(settings, options) as listener:
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
            first_pictures.prepare(review, options.scope)
            try:
                _run(review, settings, options, listener, on_ready)
            finally:
                review.stop()


def _run(
    review: Review,
    settings: Settings,
    options: ReviewOptions,
    listener: socket.socket,
    on_ready: Callable[[Links], None],
) -> None:
    host, port = listener.getsockname()[:2]
    keys = Keys(secret(settings.data_dir), port)
    hosts = host_headers(host, port)
    own = [os.path.realpath(folder) for folder in (settings.data_dir, _cache_folder())]
    roots = [str(root) for root in known_roots.paths(review.library)]
    watched = WatchedFolders(roots, Exclusion(settings.folders.exclude), own)
    app = AccessGuard(review_app.application(review, options.scope, watched), keys, hosts)
    base = f"{base_address(host, port)}{OPEN_PATH}?token="
    on_ready(Links(base + keys.token, base + keys.for_one_use()))
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        http_server(app).run(sockets=[listener])
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    """Let one review page at a time write decisions into a library."""
    only = filelock.FileLock(data_dir / "review.lock")
    try:
        only.acquire(timeout=1)
    except filelock.Timeout:
        raise AlreadyRunning(
            "A review page is open already. Go on in its window, or end it with Ctrl-C in its terminal."
        ) from None
    except OSError as error:
        raise EnvironmentUnfit(f"The data folder {data_dir} cannot be used: {error.strerror}.") from None
    try:
        yield
    finally:
        only.release()


@contextlib.contextmanager
def _listening(settings: Settings, options: ReviewOptions) -> Iterator[socket.socket]:
    """Yield a socket that listens; on a free port where only the setting named one that is taken."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.closing(listener):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = settings.review.port if options.port is None else options.port
        try:
            listener.bind((options.host, port))
        except OSError as error:
            if options.port is not None or port == 0:
                raise EnvironmentUnfit(
                    f"The page cannot use {options.host}, port {port}: {error.strerror}. "
                    "Choose another --port."
                ) from None
            listener.bind((options.host, 0))
        listener.listen(128)
        yield listener


def _finish_writes_of_killed_run(library: Library, settings: Settings, probe: FilesystemProbe) -> None:
    if lock.is_running(settings.data_dir):
        return
    with lock.locked(settings.data_dir):
        recover(library, probe, settings.data_dir / "spool", time.time())


def _cache_folder() -> Path:
    return Path(platformdirs.user_cache_dir(APPLICATION, appauthor=False)) / "previews"
