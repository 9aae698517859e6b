"""What grows with a library, measured: each in a process of its own, which is how its memory is known."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from bench_library import MOMENT, PHOTOS_A_FOLDER, folder_path

from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.library.queries import rankings
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.open_readonly import open_readonly
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.pipeline.discovery.reconciliation import Reconciliation
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs
from maclip_daemon.settings import Settings

SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)
BATCHES = (16, 64, 256)  # photos whose scores are stored together: a processor's batch to a GPU's
INGESTED = 100_000  # scores, or as many as the library has
NOW = 1_767_225_600.0
SETTLE_S = 1e-6  # the files were just made
PROCESSOR = " (processor)"  # the same figure in processor time: what it is when nothing else runs

Figures = dict[str, float]


class Stopwatch:
    """Laps by the clock and by the processor; the quickest of each counts, other work is not ours."""

    def __init__(self) -> None:
        self._laps: list[tuple[float, float]] = []

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Time one lap."""
        began = time.perf_counter(), time.process_time()
        yield
        self._laps.append((time.perf_counter() - began[0], time.process_time() - began[1]))

    def figures(self, name: str, of: Callable[[float], float] = float) -> Figures:
        """Give the quickest lap, and the least processor time, as figures of this name."""
        clock, processor = (min(lap) for lap in zip(*self._laps, strict=True))
        return {name: of(clock), name + PROCESSOR: of(processor)}


def alone(measure: Callable[..., Figures], *arguments: Any) -> Figures:
    """Measure in a new process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(measure, *arguments).result()


def reconciliation(place: Path, files: int, repeats: int) -> Figures:
    """Reconcile a folder with a library that knows all of it already."""
    root = place / "Pictures"
    with Library.open(place / "library.db") as library, library.writing() as session:
        driver = session.connection()
        add_root = "INSERT INTO roots (id, path, added_at) VALUES (1, ?, ?)"
        driver.exec_driver_sql(add_root, (os.fspath(root), MOMENT))
        for number in range(math.ceil(files / PHOTOS_A_FOLDER)):
            folder = root / f"{number:05d}"
            folder.mkdir(parents=True)
            driver.exec_driver_sql("INSERT INTO folders VALUES (?, 1, ?)", (number + 1, os.fspath(folder)))
            driver.exec_driver_sql(_KNOWN, list(_made(folder, number, files)))
    return alone(unchanged, place, files, repeats)


_KNOWN = (
    "INSERT INTO photos (folder_id, file_name, device, inode, size, mtime_ns, state, first_seen_at)"
    " VALUES (?, ?, ?, ?, ?, ?, 'scored', ?)"
)


def _made(folder: Path, number: int, files: int) -> Iterator[tuple[Any, ...]]:
    """Make the files of a folder; what the library knows of them."""
    for index in range(min(PHOTOS_A_FOLDER, files - number * PHOTOS_A_FOLDER)):
        file = folder / f"IMG_{index:05d}.jpg"
        file.write_bytes(b"x")
        found = file.stat()
        yield number + 1, file.name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, MOMENT


def unchanged(place: Path, files: int, repeats: int) -> Figures:
    """Scan once more, in a process that did not find the files."""
    watch = Stopwatch()
    with Library.open(place / "library.db") as library:
        for _ in range(repeats):
            with watch.lap():
                report = _scan(library, place / "Pictures")
            assert (report.files, report.queued, report.missing) == (files, 0, 0)
    return watch.figures("reconcile, time") | {"reconcile, memory": _peak_bytes() / 1e6}


def _scan(library: Library, root: Path) -> Any:
    scan = Reconciliation(library, RunState(), 1, os.fspath(root), Exclusion([]), SETTLE_S, str, lambda: True)
    return scan.run()


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def first_photos(path: Path, photos: int, repeats: int) -> Figures:
    """Ask for the worst 50, of all and below a folder, a year, and everything."""
    middle = folder_path(photos // PHOTOS_A_FOLDER // 2)
    places = {
        "": None,
        " --under a folder": middle,
        " --under a year": middle.rpartition("/")[0],
        " --under the root": "/photos",
    }
    figures: Figures = {}
    for name, under in places.items():
        watch = Stopwatch()
        for _ in range(5 * repeats):
            with open_readonly(path) as library, library.reading() as reader:  # as each command does
                with watch.lap():
                    found = rankings.worst(reader, 50, under)
                assert len(found) == 50
        figures |= watch.figures(f"worst -n 50{name}", lambda seconds: 1000 * seconds)
    return figures


def calibrated(path: Path, photos: int, repeats: int) -> Figures:
    """Make a calibration of all scores, with its percentiles, and read it as every rating does."""
    watch = Stopwatch()
    with Library.open(path) as library:
        for _ in range(repeats):
            with watch.lap():
                with library.writing() as session:
                    calibration.renew(session, 1, SHARES, 30, NOW)
                with library.reading() as session:
                    made = calibration.current(session, 1)
            assert made is not None
            assert made.photo_count == photos
    return watch.figures("calibration and percentiles")


def ingested(path: Path, photos: int, repeats: int) -> Figures:
    """Store scores as the scoring thread does: the jobs leased, the scores in batches."""
    count = min(INGESTED, photos)
    figures: Figures = {}
    with Library.open(path) as library:
        for batch in BATCHES:
            watch = Stopwatch()
            for _ in range(repeats):
                _store(library, _leased(library, count), batch, watch)
            figures |= watch.figures(f"store scores, {batch} together", lambda seconds: count / seconds)
    return figures


def _leased(library: Library, count: int) -> list[jobs.LeasedJob]:
    with library.writing() as session:
        jobs.enqueue_all(session, range(1, count + 1), "score", NOW)
        session.connection().exec_driver_sql("DELETE FROM scores WHERE photo_id <= ?", (count,))
    held: list[jobs.LeasedJob] = []
    while len(held) < count:
        with library.writing() as session:
            held += jobs.lease(session, "score", "bench", NOW + 1, 900, 1000)
    return held


def _store(library: Library, held: Sequence[jobs.LeasedJob], batch: int, watch: Stopwatch) -> None:
    quiet = structlog.make_filtering_bound_logger(20)  # one line a batch, as for a user
    structlog.configure(wrapper_class=quiet)
    score_jobs = ScoreJobs(library, RunState(), Settings(), 1, "bench", batch, lambda _: False)
    row = scores.ScoreRow(
        0.5, *[0.5] * 7, views=5, view_spread=0.1, details={"view_scores": [0.123456] * 5, "weight_sim": 0.5}
    )
    photo = DecodedPhoto(
        pixels=None,
        spooled=None,
        width=672,
        height=448,
        photo_width=6000,
        photo_height=4000,
        pixel_hash="",
        former_hash=None,
        taken_at=None,
    )
    with library.reader() as reader:
        known = dict(reader.execute("SELECT id, pixel_hash FROM photos WHERE id <= ?", (len(held),)))
    scored = [(job, dataclasses.replace(photo, pixel_hash=known[job.photo_id]), row) for job in held]
    with watch.lap():
        for start in range(0, len(scored), batch):
            stored = score_jobs.store(scored[start : start + batch])
            assert stored == len(scored[start : start + batch])
