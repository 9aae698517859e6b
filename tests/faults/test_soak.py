"""Soak test: random actions and faults, and a model that database and disk must equal after each round.

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
from tests.faults.soak import actions, arrivals
from tests.faults.soak.agreement import Mismatch, find_mismatches, record_agreement
from tests.faults.soak.daemon import SoakedDaemon, Usage, check_growth, growth, samples_by_process
from tests.faults.soak.model import Content, Model
from tests.faults.soak.simulated_user import SimulatedUser
from tests.homes import Home, make_photo, until

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng

SEED = 20261120
MINUTES = 60.0
SUFFIXES = (".jpg", ".dng", ".jpg", ".png", ".jpg", ".webp", ".jpg", ".tif")
BROKEN_SHARE = 0.08  # of the pictures
COMMAND_S = 900.0  # for one `maclip` command on a loaded machine
TIMEOUT_S = 240.0  # until a round agrees, on a loaded machine
STABLE_S = 2.0  # the agreement must last this long
LONGEST_OFFLINE_S = 6.0
SCORED_AT_ONCE = 24  # few enough for a loaded machine
MAXIMUM_HISTORIES = 10  # of mismatching photos, printed when the test fails


@dataclass(frozen=True)
class Pace:
    """Length and speed of the soak."""

    soak_s: float
    """No round begins after this time."""
    minimum_rounds: int
    round_s: float
    """Seconds of actions in a round."""
    pause_s: float
    """Maximum seconds between two actions."""
    photos: int
    contents: int
    """Number of images at the start."""
    added: int
    """New images per round."""


QUICK = Pace(soak_s=0, minimum_rounds=2, round_s=4, pause_s=0.1, photos=40, contents=24, added=0)


@pytest.fixture
def daemon(home: Home) -> Iterator[SoakedDaemon]:
    daemon = SoakedDaemon(home)
    yield daemon
    daemon.close()


def test_after_each_round_of_random_actions_and_faults_the_library_equals_the_model(
    home: Home, daemon: SoakedDaemon, full: bool, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.environ.get("CI") and not full:
        pytest.skip("chance decides what it finds: `scripts/test` and `scripts/faults` run it, CI does not")
    monkeypatch.setattr(homes, "TIMEOUT_S", COMMAND_S)
    soak_s = 60 * float(os.environ.get("MACLIP_SOAK_MINUTES", MINUTES))
    pace = Pace(soak_s, 3, round_s=40, pause_s=0.5, photos=250, contents=40, added=8) if full else QUICK
    seed = int(os.environ.get("MACLIP_SOAK_SEED", SEED))
    chance = random.Random(seed)
    contents: list[Content] = []
    add_contents(home, contents, pace.contents, chance)
    outside = home.folder / "elsewhere"
    outside.mkdir()
    model = Model(home.photos)
    user = SimulatedUser(home, model, outside, contents, chance, pace.photos)
    for _ in range(pace.photos // 2):
        user.perform_random({arrivals.copy_whole: 1})
    daemon.start()
    began = time.monotonic()
    faults: list[str] = []
    samples: list[Usage] = []
    while len(samples) < pace.minimum_rounds or time.monotonic() - began < pace.soak_s:
        number = len(samples) + 1
        planned = faults_of(number, (time.monotonic() - began) / soak_s, full)
        add_contents(home, contents, pace.added, chance)
        injected = run_round(pace, planned, daemon, user)
        faults += injected
        took_s = wait_for_agreement(home, daemon, model, f"seed {seed}, round {number}: {user.performed}")
        record_agreement(model, home)
        samples.append(daemon.measure_usage())
        print(f"round {number}: {injected}, agreed after {took_s:.1f} s, {samples[-1]}", flush=True)
    check_growth(samples, rows=len(model.rows))
    daemon.stop(signal.SIGTERM)
    assert "no problem found" in home.maclip("db", "check").stdout
    assert find_mismatches(model, home) == []
    assert_files_agree(home)
    life = max(samples_by_process(samples), key=len)
    grown = growth(life) if len(life) > 1 else {}
    figures(
        rounds=len(samples),
        files=sum(
            user.performed[name] for name in user.performed if name.startswith(("copy", "arrive", "dupl"))
        ),
        faults=len(faults),
        note=(
            f"{(time.monotonic() - began) / 60:.0f} minutes, seed {seed},"
            f" {sum(user.performed.values())} actions;"
            f" {model.renames_kept} renamed photos kept their scores; {model.left_sidecars} sidecars came"
            f" where a photo had just left; in {len(life)} rounds of one process"
            f" memory {grown.get('memory', 0) / 2**20:+.1f} MiB, threads {grown.get('threads', 0):+.0f},"
            f" open files {grown.get('files', 0):+.0f}"
        ),
    )


def assert_files_agree(home: Home) -> None:
    """End with `maclip db check --sidecars`, after the sidecars of deleted photos were removed.

    Where another photo of the same picture took over the row of one that left, nobody owns its sidecar: purge
    does not know it, and the check names it as one that nobody needs. Of a photo that maclip never rated, a
    person's later star is read when the photo is due again; until then the library has the earlier one.
    """
    home.maclip("purge", "--yes")
    checked = home.maclip("db", "check", "--sidecars", "--json", expect=None)
    found = [
        each
        for each in json.loads(checked.stdout)["disagreements"]
        if each["kind"] != "orphan" and each["what"].count(" of yours") < 2
    ]
    assert not found, found


def faults_of(number: int, passed: float, full: bool) -> tuple[str, ...]:
    """Return a round's faults. Later in a long soak the parent is not restarted, to show growth."""
    if not full:
        return (("kill -9", "SIGHUP"), ("SIGTERM", "child"))[number % 2]
    if passed < 1 / 3:
        return (("SIGTERM",), ("kill -9",), ("child",), ("SIGHUP",), ("unplugged",), ("kill -9",), ())[
            number % 7
        ]
    return (("child",), ("unplugged",), ("SIGHUP",), ("child", "child"), ())[number % 5]


def run_round(pace: Pace, planned: tuple[str, ...], daemon: SoakedDaemon, user: SimulatedUser) -> list[str]:
    """Perform actions for a while with faults at random times; return the faults that were possible."""
    start = time.monotonic()
    scheduled = sorted((user.chance.uniform(0, pace.round_s), fault) for fault in planned)
    injected = []
    while scheduled or time.monotonic() - start < pace.round_s:
        user.perform_random(actions.weights(len(user.model.photos) / pace.photos))
        if scheduled and time.monotonic() - start > scheduled[0][0]:
            injected.append(inject(scheduled.pop(0)[1], daemon, user))
        time.sleep(user.chance.uniform(0, pace.pause_s))
    user.finish()
    return [fault for fault in injected if fault]


def inject(fault: str, daemon: SoakedDaemon, user: SimulatedUser) -> str:
    """Inject a fault and return its name; the user continues while the daemon is stopped."""
    if fault == "child":
        return daemon.kill_a_child(user.chance)
    if fault == "unplugged":
        return take_drive_offline(user)
    if fault == "SIGHUP":
        daemon.signal(signal.SIGHUP)
    else:
        daemon.stop(signal.SIGTERM if fault == "SIGTERM" else signal.SIGKILL)
        for _ in range(user.chance.randint(0, 6)):
            user.perform_random(actions.weights(1))
        daemon.start()
    user.model.interrupted(fault)
    return fault


def take_drive_offline(user: SimulatedUser) -> str:
    """Take the drive with the photos offline for a while, and return the fault's name."""
    root = user.model.root
    away = root.with_name("away")
    root.rename(away)
    time.sleep(user.chance.uniform(0, LONGEST_OFFLINE_S))
    away.rename(root)
    user.model.disconnected()
    return "unplugged"


def add_contents(home: Home, contents: list[Content], count: int, chance: random.Random) -> None:
    """Create new images, and score them outside the library."""
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
    assert all(below < above for below, above in pairwise(known)), "two images have one score"


def wait_for_agreement(home: Home, daemon: SoakedDaemon, model: Model, where: str) -> float:
    """Wait until the queue is empty and the database equals the model; return the seconds it took."""
    began = time.monotonic()
    found: list[Mismatch] = []
    agreed_at: float | None = None

    def agrees() -> bool:
        nonlocal found, agreed_at
        assert daemon.process.pid
        try:
            found = find_mismatches(model, home)
        except (ElementTree.ParseError, FileNotFoundError) as error:
            found = [Mismatch("", f"a sidecar is incomplete: {error!r}")]
        if found:
            agreed_at = None
            time.sleep(0.2)
            return False
        agreed_at = agreed_at or time.monotonic()
        return time.monotonic() - agreed_at >= STABLE_S

    # On a loaded machine a start takes longer than the agreement lasts.
    until(lambda: home.json("status", "--json")["running"], "the daemon's start", TIMEOUT_S)
    try:
        until(agrees, "agreement", TIMEOUT_S)
    except pytest.fail.Exception:
        histories = "".join(
            f"\n{path!r} {what}\n    " + "\n    ".join(model.history_of(path))
            for path, what in found[:MAXIMUM_HISTORIES]
        )
        pytest.fail(f"{where}: {len(found)} mismatches{histories}\n--- the daemon's log\n{daemon.log_tail()}")
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
def test_growth_of_each_resource_fails_the_check(name: str, step: int) -> None:
    flat = Usage(pid=1, memory=80 << 20, threads=19, files=27, children=3, database=1 << 20, wal=4 << 20)
    check_growth([flat] * 20, rows=20)
    grown = [replace(flat, **{name: getattr(flat, name) + number * step}) for number in range(20)]
    with pytest.raises(AssertionError):
        check_growth(grown, rows=20)
