"""What groups of photos of one moment cost in a library of a million photos."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.photos.burst_frames import FrameRecord
from maclip_daemon.library.queries import burst_list
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage.connections import driver_of
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.open_readonly import open_readonly
from maclip_daemon.photos.shots.descriptor_layout import BITS, PLANE_BYTES, pack
from maclip_daemon.pipeline.bursts import rebuilding, regrouping
from maclip_daemon.pipeline.bursts.best_frame import FRAMING_SPREAD

CAMERAS = 20
A_FOLDER = 500
SCENES = 3000  # patterns that are used again and again
MOMENT = "2026-01-01T00:00:00.000Z"
SECOND = 1_000_000


def main(
    photos: Annotated[int, typer.Argument(help="Photos of the library.")] = 1_000_000,
    added: Annotated[int, typer.Option(help="Photos to add one by one.")] = 1000,
) -> None:
    """Measure the groups of a library from nothing, adding one photo, and a page of groups."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.db"
        make_library(path, photos)
        with Library.open(path, is_in_use=True) as library:
            began, used = time.perf_counter(), time.process_time()
            for _ in rebuilding.rebuild(library, FRAMING_SPREAD, lambda _session, _changed: None):
                pass
            typer.echo(
                f"all groups from nothing  {time.perf_counter() - began:.1f} s"
                f" ({time.process_time() - used:.1f} s of processor time) for {photos} photos"
            )
            clock, processor = add_one_by_one(library, photos, added)
            typer.echo(f"adding one photo         {clock:.2f} ms ({processor:.2f} ms of processor time)")
        pages(path)


def descriptors(rng: random.Random) -> Iterator[bytes]:
    """Yield the pictures of a photographer's day: bursts of a scene, then another one."""
    scenes = [[rng.getrandbits(BITS) for _ in range(2)] for _ in range(SCENES)]
    known = ((1 << BITS) - 1).to_bytes(PLANE_BYTES, "little")
    while True:
        across, down = rng.choice(scenes)
        for _ in range(rng.choice((1, 1, 1, 2, 3, 5, 8))):
            planes = []
            for bits in (across, down):
                for cell in rng.sample(range(BITS), BITS // 20):
                    bits ^= 1 << cell
                planes.append(bits.to_bytes(PLANE_BYTES, "little"))
            yield pack((180, 0, 0), (planes[0], known, planes[1], known), bytes([128]) * 32, bytes([60]) * 20)


def moments(rng: random.Random) -> Iterator[int]:
    """Yield times of one camera: frames of a burst a third of a second apart, scenes half a minute."""
    moment = 1_600_000_000 * SECOND
    while True:
        moment += rng.choice((SECOND // 3,) * 3 + (20 * SECOND, 40 * SECOND, 600 * SECOND))
        yield moment


def make_library(path: Path, photos: int) -> None:
    """Fill a new library with scored photos of twenty cameras that were never compared."""
    with Library.open(path) as library, library.writing() as session:
        config = scores.scoring_config_for(session, "maclip", "m", "p").id
        scores.activate(session, config)
    rng = random.Random(1)
    pictures = descriptors(rng)
    times = [moments(rng) for _ in range(CAMERAS)]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("INSERT INTO roots (id, path, added_at) VALUES (1, '/photos', ?)", (MOMENT,))
        connection.executemany(
            "INSERT INTO folders (id, root_id, path) VALUES (?, 1, ?)",
            ((n + 1, f"/photos/{n:05d}") for n in range(photos // A_FOLDER + 1)),
        )
        connection.executemany(
            "INSERT INTO photos (id, folder_id, file_name, device, inode, size, mtime_ns, state, width,"
            " height, pixel_hash, first_seen_at) VALUES (?, ?, ?, 1, ?, 1, 1, 'scored', 6000, 4000, ?, ?)",
            (
                (n, n // A_FOLDER + 1, f"IMG_{n:07d}.jpg", n, f"jpeg:{n:064x}", MOMENT)
                for n in range(1, photos + 1)
            ),
        )
        connection.executemany(
            "INSERT INTO scores (photo_id, folder_id, scoring_config_id, score, views, scored_at)"
            " VALUES (?, ?, ?, ?, 7, ?)",
            ((n, n // A_FOLDER + 1, config, rng.random(), MOMENT) for n in range(1, photos + 1)),
        )
        connection.executemany(
            "INSERT INTO burst_frames (photo_id, series, moment, name_order, descriptor)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                (n, 1 + camera, next(times[camera]), f"img_{n:012d}.jpg", next(pictures))
                for n in range(1, photos + 1)
                for camera in [n * CAMERAS // (photos + 1)]
            ),
        )
        connection.commit()


def add_one_by_one(library: Library, photos: int, added: int) -> tuple[float, float]:
    """Record photos that were taken out before; return milliseconds and processor milliseconds each."""
    rng = random.Random(2)
    chosen = rng.sample(range(1, photos + 1), added)
    with library.writing() as session:
        driver = driver_of(session.connection())
        rows = {
            number: driver.execute(
                "SELECT series, moment, name_order, NULL, NULL, NULL, NULL, NULL, 0, descriptor"
                " FROM burst_frames WHERE photo_id = ?",
                (number,),
            ).fetchone()
            for number in chosen
        }
        burst_frames.forget(session, chosen)
        driver.executemany("DELETE FROM burst_frames WHERE photo_id = ?", [(number,) for number in chosen])
    regrouping.regroup_all(library, FRAMING_SPREAD, lambda _session, _changed: None)
    with library.writing() as session:
        began, used = time.perf_counter(), time.process_time()
        for number, row in rows.items():
            burst_frames.record(session, {number: FrameRecord(*row)})
            regrouping.regroup(session, FRAMING_SPREAD)
        clock, processor = time.perf_counter() - began, time.process_time() - used
    return 1000 * clock / added, 1000 * processor / added


def pages(path: Path) -> None:
    """Print what the first page of groups costs, and the group of one photo."""
    with open_readonly(path) as library, library.snapshot() as snapshot:
        began = time.perf_counter()
        first = list(burst_list.bursts(snapshot, limit=50))
        typer.echo(f"a page of {len(first)} groups     {1000 * (time.perf_counter() - began):.1f} ms")
        began = time.perf_counter()
        burst_list.burst_of(snapshot, first[0].frames[0].photo_id)
        typer.echo(f"the group of one photo   {1000 * (time.perf_counter() - began):.2f} ms")
