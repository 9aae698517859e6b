"""A soak test: simulated users act at random, faults occur, and a model predicts the library.

MACLIP_SOAK_SEED and MACLIP_SOAK_MINUTES set the seed and the length of the long form.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests import homes
from tests.faults.conftest import Figures
from tests.faults.soak import arrivals, deeds
from tests.faults.soak.agreement import Mismatch, agree, disagreements
from tests.faults.soak.daemon import Size, SoakedDaemon, growth, judge, lives
from tests.faults.soak.hands import Hands
from tests.faults.soak.model import Content, Model
from tests.homes import Home, make_photo, until

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng

SEED = 20261120
MINUTES = 60.0
SUFFIXES = (".jpg", ".dng", ".jpg", ".png", ".jpg", ".webp", ".jpg", ".tif")
BROKEN_SHARE = 0.08  # of the pictures
COMMAND_S = 900.0  # for one `maclip` command on a loaded machine
TIMEOUT_S = 240.0  # until a round agrees, on a loaded machine
STABLE_S = 2.0  # the agreement must last that long
LONGEST_OFFLINE_S = 6.0
SCORED_AT_ONCE = 24  # photos in one `maclip score` command
STORIES_PRINTED = 10  # of mismatched photos


@dataclass(frozen=True)
class Pace:
    """Length and speed of a soak."""

    soak_s: float
    """No round starts later."""
    least_rounds: int
    round_s: float
    """Seconds of actions in a round."""
    pause_s: float
    """Longest pause between two actions, in seconds."""
    photos: int
    contents: int
    """Pictures at the start."""
    fresh: int
    """New pictures a round."""


QUICK = Pace(soak_s=0, least_rounds=2, round_s=4, pause_s=0.1, photos=40, contents=24, fresh=0)


@pytest.fixture
def daemon(home: Home) -> Iterator[SoakedDaemon]:
    daemon = SoakedDaemon(home)
    yield daemon
    daemon.close()


def test_after_each_round_of_random_actions_and_faults_the_library_equals_the_model(
    home: Home, daemon: SoakedDaemon, full: bool, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(homes, "TIMEOUT_S", COMMAND_S)
    soak_s = 60 * float(os.environ.get("MACLIP_SOAK_MINUTES", MINUTES))
    pace = Pace(soak_s, 3, round_s=40, pause_s=0.5, photos=250, contents=40, fresh=8) if full else QUICK
    seed = int(os.environ.get("MACLIP_SOAK_SEED", SEED))
    chance = random.Random(seed)
    contents: list[Content] = []
    add_contents(home, contents, pace.contents, chance)
    outside = home.folder / "elsewhere"
    outside.mkdir()
    model = Model(home.photos)
    hands = Hands(home, model, outside, contents, chance, pace.photos)
    for _ in range(pace.photos // 2):
        hands.do_one_of({arrivals.copy_whole: 1})
    daemon.start()
    began = time.monotonic()
    faults: list[str] = []
    sizes = []
    while len(sizes) < pace.least_rounds or time.monotonic() - began < pace.soak_s:
        number = len(sizes) + 1
        planned = faults_of(number, (time.monotonic() - began) / soak_s, full)
        add_contents(home, contents, pace.fresh, chance)
        happened = run_round(pace, planned, daemon, hands)
        faults += happened
        took_s = wait_for_agreement(home, daemon, model, f"seed {seed}, round {number}: {hands.done}")
        agree(model, home)
        sizes.append(daemon.size())
        print(f"round {number}: {happened}, agreed after {took_s:.1f} s, {sizes[-1]}", flush=True)
    judge(sizes, rows=len(model.rows))
    daemon.end(signal.SIGTERM)
    assert "no problem found" in home.maclip("db", "check").stdout
    assert disagreements(model, home) == []
    life = max(lives(sizes), key=len)
    grown = growth(life) if len(life) > 1 else {}
    figures(
        rounds=len(sizes),
        files=sum(hands.done[name] for name in hands.done if name.startswith(("copy", "arrive", "dupl"))),
        faults=len(faults),
        note=(
            f"{(time.monotonic() - began) / 60:.0f} minutes, {sum(hands.done.values())} actions, seed {seed};"
            f" {model.renames_kept} renamed photos kept their scores; {model.left_by_us} sidecars came"
            f" where a photo had just left; in {len(life)} rounds of one process"
            f" memory {grown.get('memory', 0) / 2**20:+.1f} MiB, threads {grown.get('threads', 0):+.0f},"
            f" open files {grown.get('files', 0):+.0f}"
        ),
    )


def faults_of(number: int, passed: float, full: bool) -> tuple[str, ...]:
    """Return the faults of a round. After a third of a long soak the parent survives, to show growth."""
    if not full:
        return (("kill -9", "SIGHUP"), ("SIGTERM", "child"))[number % 2]
    if passed < 1 / 3:
        return (("SIGTERM",), ("kill -9",), ("child",), ("SIGHUP",), ("unplugged",), ("kill -9",), ())[
            number % 7
        ]
    return (("child",), ("unplugged",), ("SIGHUP",), ("child", "child"), ())[number % 5]


def run_round(pace: Pace, planned: tuple[str, ...], daemon: SoakedDaemon, hands: Hands) -> list[str]:
    """Act at random, with faults at random moments; return the faults that happened."""
    start = time.monotonic()
    coming = sorted((hands.chance.uniform(0, pace.round_s), fault) for fault in planned)
    happened = []
    while coming or time.monotonic() - start < pace.round_s:
        hands.do_one_of(deeds.weights(len(hands.model.photos) / pace.photos))
        if coming and time.monotonic() - start > coming[0][0]:
            happened.append(cause_fault(coming.pop(0)[1], daemon, hands))
        time.sleep(hands.chance.uniform(0, pace.pause_s))
    hands.finish()
    return [fault for fault in happened if fault]


def cause_fault(fault: str, daemon: SoakedDaemon, hands: Hands) -> str:
    """Cause a fault; return its name. Actions continue while the daemon is down."""
    if fault == "child":
        return daemon.kill_a_child(hands.chance)
    if fault == "unplugged":
        return take_drive_offline(hands)
    if fault == "SIGHUP":
        daemon.signal(signal.SIGHUP)
    else:
        daemon.end(signal.SIGTERM if fault == "SIGTERM" else signal.SIGKILL)
        for _ in range(hands.chance.randint(0, 6)):
            hands.do_one_of(deeds.weights(1))
        daemon.start()
    hands.model.interrupted(fault)
    return fault


def take_drive_offline(hands: Hands) -> str:
    """Take the drive with the photos offline for a while."""
    root = hands.model.root
    away = root.with_name("away")
    root.rename(away)
    time.sleep(hands.chance.uniform(0, LONGEST_OFFLINE_S))
    away.rename(root)
    hands.model.unplugged()
    return "unplugged"


def add_contents(home: Home, contents: list[Content], count: int, chance: random.Random) -> None:
    """Generate pictures, and score them outside the library."""
    if not count:
        return
    folder = home.folder / "pool"
    made = []
    for number in range(len(contents), len(contents) + count):
        path = folder / f"{number:05d}{SUFFIXES[number % len(SUFFIXES)]}"
        original = make_photo(folder / "original.jpg", number, (320, 240), chance.choice([0.0, 1.0, 3.0]))
        if path.suffix == ".dng":
            write_dng(path, 256 + 2 * number, 256, brightness=chance.uniform(0.1, 1))
        else:
            with Image.open(original) as picture:
                picture.save(path, quality=90)
        original.unlink()
        if chance.random() < BROKEN_SHARE:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
        made.append(path)
    scores: dict[str, float | None] = {}
    for start in range(0, count, SCORED_AT_ONCE):
        some, elsewhere = made[start : start + SCORED_AT_ONCE], str(home.folder / "other")
        ended = home.maclip("score", "--json", *some, expect=None, MACLIP_DATA_DIR=elsewhere)
        scores |= {line["path"]: line["score"] for line in map(json.loads, ended.stdout.splitlines())}
    assert len(scores) == count, ended.stderr
    for path in made:
        contents.append(Content(path.name, path.suffix, path.read_bytes(), scores[str(path)]))
        path.unlink()
    known = sorted(content.score for content in contents if content.score is not None)
    assert all(below < above for below, above in pairwise(known)), "two pictures have one score"


def wait_for_agreement(home: Home, daemon: SoakedDaemon, model: Model, where: str) -> float:
    """Wait until no work is left and the database equals the model; return the seconds."""
    began = time.monotonic()
    found: list[Mismatch] = []
    agreed_at: float | None = None

    def agrees() -> bool:
        nonlocal found, agreed_at
        assert daemon.process.pid
        try:
            found = disagreements(model, home)
        except (ElementTree.ParseError, FileNotFoundError) as error:
            found = [Mismatch("", f"a sidecar is incomplete: {error!r}")]
        if found:
            agreed_at = None
            time.sleep(0.2)
            return False
        agreed_at = agreed_at or time.monotonic()
        return time.monotonic() - agreed_at >= STABLE_S

    try:
        until(agrees, "agreement", TIMEOUT_S)
    except pytest.fail.Exception:
        stories = "".join(
            f"\n{path!r} {what}\n    " + "\n    ".join(model.story_of(path))
            for path, what in found[:STORIES_PRINTED]
        )
        pytest.fail(f"{where}: {len(found)} mismatches{stories}\n--- the log of the daemon\n{daemon.said()}")
    status = home.json("status", "--json")
    assert status["jobs"] == {"score": 0, "rate": 0}, where
    assert status["running"], where
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("memory", 2 << 20),
        ("threads", 1),
        ("files", 1),
        ("children", 1),
        ("database", 1 << 20),
        ("wal", 4 << 20),
    ],
)
def test_a_daemon_that_grew_would_be_noticed(name: str, step: int) -> None:
    flat = Size(pid=1, memory=80 << 20, threads=19, files=27, children=3, database=1 << 20, wal=4 << 20)
    judge([flat] * 20, rows=20)
    grown = [replace(flat, **{name: getattr(flat, name) + number * step}) for number in range(20)]
    with pytest.raises(AssertionError):
        judge(grown, rows=20)
