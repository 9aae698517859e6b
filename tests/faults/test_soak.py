"""24 hours in an hour: random hands on the library, faults now and then, and a model of what must be true.

The seed, the length and the pace can be set: MACLIP_SOAK_SEED, MACLIP_SOAK_MINUTES.
"""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

import psutil
import pytest
from PIL import Image

from tests.faults.conftest import Figures
from tests.faults.soak_hands import Hands
from tests.faults.soak_model import SCORE_TOLERANCE, Content, Mismatch, Model, has_work_left
from tests.homes import Home, make_photo, until

SUFFIXES = (".jpg", ".jpg", ".jpg", ".png", ".webp", ".tif")
BROKEN_SHARE = 0.08  # of the pictures that arrive
PATIENCE_S = 240.0  # until a round agrees, on a machine that does other heavy work too
CALM_S = 1.0  # between two looks that must both agree
MEMORY_ALLOWANCE = 20 << 20  # bytes: SQLite's page caches fill up to 16 MiB a connection
THREADS_ALLOWANCE = 2  # the watcher's timer between the halves of a rename
FILES_ALLOWANCE = 6  # pipes of a child that was just started
MOST_CHILDREN = 4  # a decoder, the scorer, the metadata process; one that is being replaced
MOST_WAL = 32 << 20  # bytes
DATABASE_BYTES_A_ROW = 40_000  # a photo's row, scores, and journal with what undo needs


@dataclass(frozen=True)
class Pace:
    """How long and how fast."""

    rounds_s: float
    """Seconds of deeds in a round."""
    pause_s: float
    """Seconds between two deeds, at most."""
    until_s: float
    """Seconds for the whole soak; the round that runs then is the last."""
    photos: int
    fresh: int
    """New pictures a round."""


@dataclass(frozen=True)
class Size:
    """What the daemon takes at a quiet moment."""

    pid: int
    memory: int
    threads: int
    files: int
    children: int
    database: int
    wal: int


class Watched:
    """The daemon of the soak; what it says goes to a file, for a pipe that nobody reads would stop it."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._log = home.folder / "daemon.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "maclip_daemon", "run", str(self._home.photos)],
                env=self._home.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def signal(self, number: int) -> None:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended by itself: {self.said()}"
        self.process.send_signal(number)

    def end(self, number: int) -> None:
        self.signal(number)
        assert self.process is not None
        self.process.wait(60)
        if number == signal.SIGTERM:
            assert self.process.returncode == 0, self.said()

    def kill_a_child(self, chance: random.Random) -> str:
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        if not children:
            return "no child to kill"
        child = chance.choice(children)
        try:
            name = child.cmdline()[-1] if child.cmdline() else "?"
            child.kill()
        except psutil.NoSuchProcess:
            return "a child was gone"
        return f"kill -9 of the child {name}"

    def size(self) -> Size:
        assert self.process is not None
        seen = psutil.Process(self.process.pid)
        database = self._home.data / "library.db"
        wal = database.with_name("library.db-wal")
        return Size(
            pid=self.process.pid,
            memory=seen.memory_info().rss,
            threads=seen.num_threads(),
            files=seen.num_fds(),
            children=len(seen.children(recursive=True)),
            database=database.stat().st_size,
            wal=wal.stat().st_size if wal.exists() else 0,
        )

    def said(self) -> str:
        return self._log.read_text("utf-8", "replace")[-6000:]

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(60)


@pytest.fixture
def watched(home: Home) -> Iterator[Watched]:
    daemon = Watched(home)
    yield daemon
    daemon.close()


def test_after_each_round_of_random_deeds_and_faults_the_library_equals_the_model(
    home: Home, watched: Watched, full: bool, figures: Figures
) -> None:
    minutes = float(os.environ.get("MACLIP_SOAK_MINUTES", "60"))
    pace = Pace(45, 0.5, 60 * minutes, 250, 8) if full else Pace(3, 0.1, 25, 40, 0)
    seed = int(os.environ.get("MACLIP_SOAK_SEED", "20261120"))
    chance = random.Random(seed)
    contents: list[Content] = []
    new_contents(home, contents, 40 if full else 24, chance)
    outside = home.folder / "elsewhere"
    outside.mkdir()
    model = Model(home.photos)
    hands = Hands(model, outside, contents, chance, pace.photos)
    hands.begin(pace.photos // 2)
    watched.start()
    began = time.monotonic()
    sizes: list[Size] = []
    faults: list[str] = []
    rounds = 0
    while rounds < 3 or time.monotonic() - began < pace.until_s:
        rounds += 1
        if rounds > 1:
            new_contents(home, contents, pace.fresh, chance)
        moment_of_the_fault = chance.uniform(0, pace.rounds_s)
        fault = fault_of(rounds, time.monotonic() - began, pace, full)
        start = time.monotonic()
        while (passed := time.monotonic() - start) < pace.rounds_s:
            hands.step()
            if fault and passed > moment_of_the_fault:
                faults.append(befall(fault, watched, hands, model, chance))
                fault = ""
            time.sleep(chance.uniform(0, pace.pause_s))
        hands.finish()
        took_s = wait_for_agreement(home, watched, model, f"seed {seed}, round {rounds}", hands)
        model.agree(home)
        sizes.append(watched.size())
        print(
            f"round {rounds}: {len(model.photos)} photos, agreed after {took_s:.1f} s,"
            f" {sizes[-1]}, {faults[-1:]}, {hands.done}",
            flush=True,
        )
    judge_sizes(sizes, rows=len(home.sql("select id from photos")))
    watched.end(signal.SIGTERM)
    assert "no problem found" in home.maclip("db", "check").stdout
    assert model.disagreements(home) == []
    life = max(len(of_one) for of_one in lives(sizes))
    figures(
        rounds=rounds,
        files=hands.done.get("arrival", 0) + hands.done.get("copy", 0) + pace.photos // 2,
        faults=len(faults),
        note=(
            f"{sum(hands.done.values())} deeds in {(time.monotonic() - began) / 60:.0f} minutes, seed {seed};"
            f" {model.renames_kept} renamed photos kept their scores; the parent's memory"
            f" {sizes[0].memory >> 20} to {sizes[-1].memory >> 20} MiB, longest life {life} rounds"
        ),
    )


def fault_of(number: int, passed_s: float, pace: Pace, full: bool) -> str:
    """The fault of a round. In the last two thirds of a long soak the parent lives on, to show its growth."""
    if not full:
        return ("kill -9", "SIGHUP", "SIGTERM")[(number - 1) % 3]
    if passed_s < pace.until_s / 3:
        return ("SIGTERM", "kill -9", "child", "SIGHUP", "kill -9", "")[number % 6]
    return ("child", "", "SIGHUP", "child", "")[number % 5]


def befall(fault: str, watched: Watched, hands: Hands, model: Model, chance: random.Random) -> str:
    """Let a fault happen; while the daemon is down, the hands go on."""
    if fault == "child":
        return watched.kill_a_child(chance)
    if fault == "SIGHUP":
        watched.signal(signal.SIGHUP)
    else:
        watched.end(signal.SIGTERM if fault == "SIGTERM" else signal.SIGKILL)
        for _ in range(chance.randint(0, 6)):
            hands.step()
        watched.start()
    model.interrupted(fault)
    return fault


def new_contents(home: Home, contents: list[Content], count: int, chance: random.Random) -> None:
    """Make new pictures, and have them scored apart from the library."""
    if not count:
        return
    folder = home.folder / "pool"
    made = []
    for _ in range(count):
        number = len(contents) + len(made)
        path = folder / f"{number:05d}{chance.choice(SUFFIXES)}"
        original = make_photo(folder / "original.jpg", number, (320, 240), chance.choice([0.0, 1.0, 3.0]))
        with Image.open(original) as picture:
            picture.save(path, quality=90)
        original.unlink()
        if chance.random() < BROKEN_SHARE:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        made.append(path)
    lines = home.maclip("score", "--json", *made, expect=None, MACLIP_DATA_DIR=str(home.folder / "other"))
    scores = {line["path"]: line["score"] for line in map(json.loads, lines.stdout.splitlines())}
    assert len(scores) == count, lines.stderr
    contents += [Content(path.name, path.suffix, path.read_bytes(), scores[str(path)]) for path in made]
    for path in made:
        path.unlink()
    known = sorted(content.score for content in contents if content.score is not None)
    apart = min(after - before for before, after in pairwise(known))
    assert apart > 0, "two pictures have one score: the soak could not tell them apart"
    if apart < 2 * SCORE_TOLERANCE:
        print(f"two pictures lie only {apart} apart")


def wait_for_agreement(home: Home, watched: Watched, model: Model, where: str, hands: Hands) -> float:
    """Wait until no work is left and the database equals the model; the seconds it took."""
    began = time.monotonic()
    found: list[Mismatch] = []
    agreed_since: float | None = None

    def agrees() -> bool:
        nonlocal found, agreed_since
        watched.signal(0)
        try:
            found = [Mismatch("", "work is left")] if has_work_left(home) else model.disagreements(home)
        except (ElementTree.ParseError, FileNotFoundError) as error:
            found = [Mismatch("", f"a sidecar is not whole: {error!r}")]
        if found:
            agreed_since = None
            time.sleep(0.2)
            return False
        agreed_since = agreed_since or time.monotonic()
        return time.monotonic() - agreed_since >= CALM_S

    try:
        until(agrees, "agreement", PATIENCE_S)
    except pytest.fail.Exception:
        stories = "".join(
            f"\n{one.path!r} {one.what}\n    " + "\n    ".join(model.story_of(one.path)) for one in found[:10]
        )
        pytest.fail(
            f"{where}: {len(found)} mismatches {time.monotonic() - began:.0f} s after the last deed,"
            f" {hands.done}:{stories}\n--- the daemon said\n{watched.said()}"
        )
    status = home.json("status", "--json")
    assert status["jobs"] == {"score": 0, "rate": 0}, where
    assert status["running"], where
    return time.monotonic() - began


def lives(sizes: list[Size]) -> list[list[Size]]:
    """The sizes of each process in turn."""
    return [[size for size in sizes if size.pid == pid] for pid in dict.fromkeys(size.pid for size in sizes)]


def judge_sizes(sizes: list[Size], rows: int) -> None:
    """Nothing grew: neither what one process takes, nor the number of children, nor the database unduly."""
    assert max(size.children for size in sizes) <= MOST_CHILDREN, sizes
    assert max(size.wal for size in sizes) <= MOST_WAL, sizes
    assert sizes[-1].database <= (4 << 20) + rows * DATABASE_BYTES_A_ROW, (rows, sizes[-1])
    for life in lives(sizes):
        if len(life) < 8:
            continue
        quarter = len(life) // 4
        first, last = life[1 : 1 + quarter], life[-quarter:]
        grown = {
            name: statistics.median(getattr(size, name) for size in last)
            - statistics.median(getattr(size, name) for size in first)
            for name in ("memory", "threads", "files")
        }
        assert grown["memory"] <= MEMORY_ALLOWANCE, (grown, life)
        assert grown["threads"] <= THREADS_ALLOWANCE, (grown, life)
        assert grown["files"] <= FILES_ALLOWANCE, (grown, life)
