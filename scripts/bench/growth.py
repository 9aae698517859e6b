"""Costs that grow with a library, each measured in a process of its own, and a seeded library of any size."""

from __future__ import annotations

import dataclasses
import json
import math
import multiprocessing
import os
import random
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import structlog

from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.library.queries import rankings
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import calibration, scores
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.open_readonly import open_readonly
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.pipeline.discovery.reconciliation import Reconciliation, ScanScope
from maclip_daemon.pipeline.run_state import RunState, StageContext
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs
from maclip_daemon.settings import Settings

PHOTOS_A_FOLDER = 500
FOLDERS_A_YEAR = 80  # so that a year of a million photos has 40 000
MOMENT = "2026-01-01T00:00:00.000Z"
SHARES = (10.0, 20.0, 40.0, 20.0, 10.0)
BATCHES = (16, 64, 256)  # photos whose scores are stored together: a processor's batch to a GPU's
INGESTED = 100_000  # scores, or as many as the library has
NOW = 1_767_225_600.0
SETTLE_S = 1e-6  # the files were just made
PROCESSOR = " (processor)"  # the same figure in processor time: what it is when nothing else runs

Figures = dict[str, float]


class Stopwatch:
    """Laps in wall-clock and processor time; the quickest of each counts."""

    def __init__(self) -> None:
        self._laps: list[tuple[float, float]] = []

    @contextmanager
    def lap(self) -> Iterator[None]:
        """Time one lap."""
        began = time.perf_counter(), time.process_time()
        yield
        self._laps.append((time.perf_counter() - began[0], time.process_time() - began[1]))

    def figures(self, name: str, of: Callable[[float], float] = float) -> Figures:
        """Return the quickest lap and the least processor time as figures of this name."""
        clock, processor = (min(lap) for lap in zip(*self._laps, strict=True))
        return {name: of(clock), name + PROCESSOR: of(processor)}


def alone(measure: Callable[..., Figures], *arguments: Any) -> Figures:
    """Run a measurement in a new process and return its figures."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(measure, *arguments).result()


def make_library(path: Path, photos: int) -> None:
    """Fill a new library with scored photos, 500 a folder, 80 folders a year, with a seed."""
    path.parent.mkdir(parents=True)
    Library.open(path).close()
    chance = random.Random(photos)
    folders = math.ceil(photos / PHOTOS_A_FOLDER)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO roots (id, path, added_at) VALUES (1, '/photos', ?)", (MOMENT,))
        connection.execute("INSERT INTO scoring_configs VALUES (1, 'maclip', 'builtin', 'spaq448', 1)")
        connection.executemany(
            "INSERT INTO folders (id, root_id, path) VALUES (?, 1, ?)",
            ((number + 1, folder_path(number)) for number in range(folders)),
        )
        connection.executemany(
            "INSERT INTO photos (id, folder_id, file_name, device, inode, size, mtime_ns, state, width,"
            " height, pixel_hash, first_seen_at)"
            " VALUES (?, ?, ?, 1, ?, 8000000, ?, 'scored', 6000, 4000, ?, ?)",
            _photo_rows(photos, chance),
        )
        connection.executemany(
            "INSERT INTO scores (photo_id, folder_id, scoring_config_id, score, q_sim, q_mag, good,"
            " sharpness, edges, resolution, noise_free, view_spread, views, precision, device, scored_at,"
            " details)"
            " VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 5, 'bf16', 'cpu', ?, ?)",
            _score_rows(photos, chance),
        )
        connection.execute("COMMIT")


def folder_path(number: int) -> str:
    """Return the path of the n-th folder."""
    return f"/photos/{1990 + number // FOLDERS_A_YEAR}/{number:05d} a day out"


def _photo_rows(photos: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    for number in range(photos):
        folder = number // PHOTOS_A_FOLDER + 1
        name = f"IMG_{number:07d}.jpg"
        pixels = f"{chance.getrandbits(256):064x}"
        yield number + 1, folder, name, number + 1, 10**18 + number, pixels, MOMENT


def _score_rows(photos: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    details = json.dumps({"view_scores": [0.123456] * 5, "weight_sim": 0.5})
    for number in range(photos):
        folder = number // PHOTOS_A_FOLDER + 1
        # A trip has good and bad light: its photos are alike, so the worst are together in a few folders.
        trip = 0.5 + 0.1 * math.sin(folder * 12.9898)
        cues = [chance.gauss(trip, 0.05) for _ in range(9)]
        yield (number + 1, folder, *cues, MOMENT, details)


def reconciliation(place: Path, files: int, repeats: int) -> Figures:
    """Measure the reconciliation of a folder whose photos are all in the library."""
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
    """Write the files of a folder and yield their rows for the library."""
    for index in range(min(PHOTOS_A_FOLDER, files - number * PHOTOS_A_FOLDER)):
        file = folder / f"IMG_{index:05d}.jpg"
        file.write_bytes(b"x")
        found = file.stat()
        yield number + 1, file.name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, MOMENT


def unchanged(place: Path, files: int, repeats: int) -> Figures:
    """Scan the unchanged folder in a fresh process."""
    watch = Stopwatch()
    with Library.open(place / "library.db") as library:
        for _ in range(repeats):
            with watch.lap():
                report = _scan(library, place / "Pictures")
            assert (report.files, report.queued, report.missing) == (files, 0, 0)
    return watch.figures("reconcile, time") | {"reconcile, memory": _peak_bytes() / 1e6}


def _scan(library: Library, root: Path) -> Any:
    scope = ScanScope(1, os.fspath(root), Exclusion([]), SETTLE_S)
    return Reconciliation(library, RunState(), scope, str, lambda: True).run()


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def first_photos(path: Path, photos: int, repeats: int) -> Figures:
    """Measure the query for the worst 50 photos: of all, and below a folder, a year and the root."""
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
            with open_readonly(path) as library, library.snapshot() as snapshot:  # as each command does
                with watch.lap():
                    found = rankings.worst(snapshot, 50, PhotoFilter(under=(under,) if under else ()))
                assert len(found) == 50
        figures |= watch.figures(f"worst -n 50{name}", lambda seconds: 1000 * seconds)
    return figures


def calibrated(path: Path, photos: int, repeats: int) -> Figures:
    """Measure a calibration of all scores with its percentiles, and its reading by a rating."""
    watch = Stopwatch()
    with Library.open(path) as library:
        for _ in range(repeats):
            with watch.lap():
                with library.writing() as session:
                    calibration.renew(session, 1, calibration.StarRule(SHARES, 30), NOW)
                with library.reading() as session:
                    made = calibration.current(session, 1)
            assert made is not None
            assert made.photo_count == photos
    return watch.figures("calibration and percentiles")


def ingested(path: Path, photos: int, repeats: int) -> Figures:
    """Measure storing scores as the scoring stage does: leased jobs, scores in batches."""
    count = min(INGESTED, photos)
    figures: Figures = {}
    with Library.open(path) as library:
        for batch in BATCHES:
            watch = Stopwatch()
            for _ in range(repeats):
                _store(library, _leased(library, count), batch, watch)
            figures |= watch.figures(f"store scores, {batch} together", lambda seconds: count / seconds)
    return figures


def _leased(library: Library, count: int) -> list[leases.LeasedJob]:
    with library.writing() as session:
        jobs.enqueue(session, range(1, count + 1), "score", NOW)
        session.connection().exec_driver_sql("DELETE FROM scores WHERE photo_id <= ?", (count,))
    held: list[leases.LeasedJob] = []
    while len(held) < count:
        with library.writing() as session:
            held += leases.lease(session, "score", "bench", NOW + 1, 900, 1000)
    return held


class _OnlineRoots:
    """Watched roots that are never offline."""

    def is_offline(self, path: str) -> bool:  # noqa: ARG002
        return False

    def check_photo_soon(self, path: str) -> None:
        pass

    def check_root_soon(self, path: str) -> None:
        pass


def _store(library: Library, held: Sequence[leases.LeasedJob], batch: int, watch: Stopwatch) -> None:
    quiet = structlog.make_filtering_bound_logger(20)  # one line a batch, as for a user
    structlog.configure(wrapper_class=quiet)
    context = StageContext(library, RunState(), Settings(), 1, "bench")
    score_jobs = ScoreJobs(context, _OnlineRoots(), batch)
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
    with library.snapshot() as snapshot:
        known = dict(snapshot.execute("SELECT id, pixel_hash FROM photos WHERE id <= ?", (len(held),)))
    scored = [(job, dataclasses.replace(photo, pixel_hash=known[job.photo_id]), row) for job in held]
    with watch.lap():
        for start in range(0, len(scored), batch):
            stored = score_jobs.store(scored[start : start + batch])
            assert stored == len(scored[start : start + batch])
