"""A library of any size for benchmarks: scored photos, with a seed."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from maclip_daemon.library.storage.database import Library

PHOTOS_A_FOLDER = 500
FOLDERS_A_YEAR = 80  # so that a year of a million photos has 40 000
MOMENT = "2026-01-01T00:00:00.000Z"


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
    """Give the path of the n-th folder."""
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
