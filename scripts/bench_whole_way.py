"""The whole way, with nothing left out: files appear in a watched folder, and scores in the database.

A real daemon (`maclip run`) with its settings as they come, except: no stars are written (the reference
writes none), and files count as whole after 0.1 s without a change. It has loaded its model over a few other
photos; then a folder is moved in, and the clock runs from there until the last score is stored: events,
settling, jobs, reading, checking, decoding, hashing, scoring and SQLite are inside.
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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maclip_daemon.scoring.batch_size import FILE_NAME

PATIENCE_S = 600
LOOK_S = 0.02
SETTINGS = {
    "MACLIP_RATING__MODE": "off",
    "MACLIP_FOLDERS__SETTLE_S": "0.1",
    "MACLIP_BACKGROUND__PAUSE_ON_BATTERY": "false",  # the same on a laptop
}


@dataclass(frozen=True, slots=True)
class Passage:
    """One folder's way."""

    seconds: float
    scores: dict[str, float]
    """By file name."""


def passage(photos: Sequence[Path], warm_up: Sequence[Path], model: str, memory: Path) -> Passage:
    """Let a fresh daemon score these photos after a warm-up; the files are linked, not copied.

    `memory`: where the batch sizes found so far stay between passages, as they do on a user's machine.
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
        if memory.exists():
            shutil.copyfile(memory, remembered)
        with _daemon(home, watched, model) as process:
            _until(home, process, len(warm_up))
            start = time.perf_counter()
            staged.rename(watched / "arrived")
            _until(home, process, len(warm_up) + len(photos))
            seconds = time.perf_counter() - start
            scores = dict(_scores(home))
        if remembered.exists():
            shutil.copyfile(remembered, memory)
        return Passage(seconds, {photo.name: scores[photo.name] for photo in photos})


@contextlib.contextmanager
def _daemon(home: Path, watched: Path, model: str) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))}
    own = {"HOME": str(home), "MACLIP_DATA_DIR": str(home / "data"), "MACLIP_SCORING__MODEL": model}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "maclip_daemon", "run", str(watched)],
            env=inherited | SETTINGS | own,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(home: Path, process: subprocess.Popen[bytes], count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while _scored(home) < count:
        if process.poll() is not None or time.monotonic() > deadline:
            said = (home / "log").read_text("utf-8", "replace")[-2000:]
            raise SystemExit(f"bench: the daemon did not score all photos. It said:\n{said}")
        time.sleep(LOOK_S)


def _scored(home: Path) -> int:
    counted = _asked(home, "select count(*) from photos where state = 'scored'")
    return int(counted[0][0]) if counted else 0


def _scores(home: Path) -> list[tuple[str, float]]:
    return _asked(home, "select file_name, score from photo_quality where state = 'scored'")


def _asked(home: Path, query: str) -> list[Any]:
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
