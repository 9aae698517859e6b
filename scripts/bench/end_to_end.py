"""The time from files in a watched folder to scores in the database.

A real daemon (`maclip run`) runs with default settings, except that it writes no stars (the reference writes
none) and that files settle after 0.1 s. A few other photos make it load its model. Then a folder is moved in,
and the clock runs until the last score is stored: events, settling, jobs, reading, checking, decoding,
hashing, scoring and SQLite.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maclip_daemon.scoring.batch_size import FILE_NAME

TIMEOUT_S = 600
POLL_S = 0.02
SETTINGS = {
    "MACLIP_RATING__MODE": "off",
    "MACLIP_FOLDERS__SETTLE_S": "0.1",
    "MACLIP_BACKGROUND__PAUSE_ON_BATTERY": "false",  # the same on a laptop
}


@dataclass(frozen=True, slots=True)
class Run:
    """The time and the scores of one folder."""

    seconds: float
    scores: dict[str, float]
    """By file name."""


def run(
    photos: Sequence[Path],
    warm_up: Sequence[Path],
    model: str,
    batch_sizes: Path,
    settings: Mapping[str, str] | None = None,
) -> Run:
    """Let a fresh daemon score these photos after a warm-up, and return its time and scores.

    `batch_sizes` keeps the batch sizes found so far between runs, as a user's data folder does. `settings`:
    environment variables of the daemon.
    """
    with tempfile.TemporaryDirectory(prefix="maclip-bench-", dir=photos[0].parent) as name:
        home = Path(name)
        watched, staged = home / "Pictures", home / "staged"
        for folder, files in ((watched / "warm-up", warm_up), (staged, photos)):
            folder.mkdir(parents=True)
            for file in files:
                (folder / file.name).hardlink_to(file)
        remembered = home / "data" / FILE_NAME
        remembered.parent.mkdir()
        if batch_sizes.exists():
            shutil.copyfile(batch_sizes, remembered)
        with _daemon(home, watched, model, settings or {}) as process:
            _wait_for(home, process, len(warm_up))
            start = time.perf_counter()
            staged.rename(watched / "arrived")
            _wait_for(home, process, len(warm_up) + len(photos))
            seconds = time.perf_counter() - start
            scores = dict(_scores(home))
        if remembered.exists():
            shutil.copyfile(remembered, batch_sizes)
        return Run(seconds, {photo.name: scores[photo.name] for photo in photos})


@contextlib.contextmanager
def _daemon(
    home: Path, watched: Path, model: str, settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))}
    own = {"HOME": str(home), "MACLIP_DATA_DIR": str(home / "data"), "MACLIP_SCORING__MODEL": model}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "maclip_daemon", "run", str(watched)],
            env=inherited | SETTINGS | own | dict(settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(home: Path, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while _scored(home) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            output = (home / "log").read_text("utf-8", "replace")[-2000:]
            raise SystemExit(f"bench: the daemon did not score all photos. Its log ends:\n{output}")
        time.sleep(POLL_S)


def _scored(home: Path) -> int:
    counted = _query(home, "select count(*) from photos where state = 'scored'")
    return int(counted[0][0]) if counted else 0


def _scores(home: Path) -> list[tuple[str, float]]:
    return _query(home, "select file_name, score from photo_quality where state = 'scored'")


def _query(home: Path, query: str) -> list[Any]:
    database = home / "data" / "library.db"
    if not database.exists():
        return []
    with contextlib.closing(
        sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=10)
    ) as connection:
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # it is being made
            return []
