"""`maclip undo` has the last word: beside a running daemon, and whatever the journal has grown to."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maclip_daemon.daemon import lock
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline import journal_compaction, recovery
from maclip_daemon.pipeline.commands import rerate
from maclip_daemon.settings import load
from tests.faults.conftest import Figures
from tests.homes import TIMEOUT_S, Home, contents, make_photo, until

SEED = 19
TITLE = (
    "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
    "<rdf:Description rdf:about='' xmlns:dc='http://purl.org/dc/elements/1.1/' dc:source='a scan'/>"
    "</rdf:RDF></x:xmpmeta>"
)
HELD = "select 1 from photos where rating_undone_at is not null limit 1"
MOMENT_S = 0.4  # in which a frozen daemon's queue would have been written


def photos_of(folder: Path, count: int) -> dict[Path, bytes]:
    """Make small photos, every fifth with a sidecar of a person; return all files with their bytes."""
    for number in range(count):
        photo = make_photo(folder / f"IMG_{number:04d}.jpg", number, size=(64, 48))
        if number % 5 == 0:
            Path(f"{photo}.xmp").write_text(TITLE, encoding="utf-8")
    return contents(folder)


def ours(folder: Path) -> list[Path]:
    """Return the sidecars with stars of maclip's."""
    return [path for path in folder.rglob("*.xmp") if b"maclip:Stars" in path.read_bytes()]


def freeze(home: Home, daemon: subprocess.Popen[str]) -> None:
    """Stop the daemon's process where it holds no lock of the database, on which undo would wait."""
    while True:
        daemon.send_signal(signal.SIGSTOP)
        os.waitpid(daemon.pid, os.WUNTRACED)
        connection = sqlite3.connect(home.data / "library.db", timeout=0, isolation_level=None)
        try:
            connection.execute("begin immediate")
            return
        except sqlite3.OperationalError:
            daemon.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        finally:
            connection.close()


def undo_beside(home: Home, daemon: subprocess.Popen[str], *, frozen_s: float, under: Path) -> str:
    """Undo while the daemon stands still, at most for so long, and return what undo printed."""
    if frozen_s:
        freeze(home, daemon)
    undo = subprocess.Popen(
        [sys.executable, "-m", "maclip_daemon", "undo", str(under)],
        env=home.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if frozen_s:
        deadline = time.monotonic() + frozen_s
        while not home.sql(HELD) and time.monotonic() < deadline:  # what is half written is awaited
            time.sleep(0.01)
        daemon.send_signal(signal.SIGCONT)
    output, _ = undo.communicate(timeout=TIMEOUT_S)
    assert undo.returncode == 0, output
    return output


def test_a_running_daemon_writes_nothing_again_after_undo(home: Home, full: bool, figures: Figures) -> None:
    count, rounds = (400, 6) if full else (160, 1)
    mine, others = home.photos / "mine", home.photos / "others"
    before = photos_of(mine, count)
    photos_of(others, 5)
    home.maclip("run", "--once", home.photos, MACLIP_RATING__MODE="off")  # all scored, none rated
    chance = random.Random(SEED)
    number = misses = 0
    while number < rounds:
        assert misses < 5, "the daemon has nothing in its queue whenever undo comes"
        daemon = home.daemon()
        until(lambda: ours(home.photos), "first stars")
        time.sleep(chance.uniform(0, 1) if number else 0)
        said = undo_beside(home, daemon, frozen_s=60.0 if number % 2 == 0 else 0.0, under=mine)
        assert "other programs changed" not in said, "its own write was called another program's"
        assert "left alone" not in said
        if not number and " without stars get" not in said:  # the daemon was faster: its queue was empty
            misses += 1
            home.stop(daemon)
            home.maclip("rate", MACLIP_RATING__MODE="off")
            continue
        until(lambda: len(ours(others)) == 5 and not home.sql("select 1 from jobs"), "the other folder")
        time.sleep(MOMENT_S)
        assert ours(mine) == []
        home.stop(daemon)
        home.maclip("run", "--once", home.photos)
        assert contents(mine) == before, "the next start wrote them again"
        if full:
            home.maclip("rate", MACLIP_RATING__MODE="off")  # queues them for the next round
        number += 1
    if full:
        home.maclip("run", "--once", home.photos)
        assert len(ours(mine)) == count, "`maclip rate` brings them back"
    figures(rounds=rounds, files=count, faults=rounds, note="undone with ratings in a daemon's queue")


def test_a_write_that_a_daemon_has_begun_is_awaited(home: Home, figures: Figures) -> None:
    before = photos_of(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    first = "update rating_journal set state = ?, intended_at = ? where target_path like '%IMG_0000.jpg.xmp'"
    with lock.locked(home.data):  # the test is the daemon
        with contextlib.closing(sqlite3.connect(home.data / "library.db")) as library:
            library.execute(first, ("intended", timestamps.text(time.time())))
            library.commit()
            undo = subprocess.Popen(
                [sys.executable, "-m", "maclip_daemon", "undo"],
                env=home.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            until(lambda: home.sql(HELD), "the hold")
            time.sleep(MOMENT_S)
            assert len(ours(home.photos)) == 6
            library.execute(first, ("written", timestamps.text(time.time())))
            library.commit()
        output, _ = undo.communicate(timeout=TIMEOUT_S)
    assert undo.returncode == 0, output
    assert contents(home.photos) == before
    figures(rounds=1, files=6, faults=1)


@pytest.mark.long_form("daemon")
@pytest.mark.parametrize("victim", ["undo", "daemon"])
def test_a_killed_undo_or_daemon_leaves_nothing_half_undone(
    home: Home, victim: str, full: bool, figures: Figures
) -> None:
    count, rounds = (200, 8) if full else (30, 1)
    before = photos_of(home.photos, count)
    chance = random.Random(SEED)
    for _ in range(rounds):
        daemon = home.daemon()
        until(lambda: ours(home.photos), "first stars")
        undo = subprocess.Popen(
            [sys.executable, "-m", "maclip_daemon", "undo"],
            env=home.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: home.sql(HELD), "the hold")
        time.sleep(chance.uniform(0, 0.3))
        (undo if victim == "undo" else daemon).kill()
        undo.wait(timeout=TIMEOUT_S)
        home.stop(daemon)
        home.maclip("undo")
        with Library.open(home.data / "library.db") as library:  # as the next scan or undo in a minute
            recovery.put_back_edits(library, FilesystemProbe(5), str(home.photos), time.time() + 61)
        assert contents(home.photos) == before
        if full:
            home.maclip("rate", MACLIP_RATING__MODE="off")
    figures(rounds=rounds, files=count, faults=rounds, note=f"{victim} killed")


def rate_again_and_again(home: Home, times: int, mode: str, patch: pytest.MonkeyPatch) -> None:
    """Change the stars, as often as a person who tries the settings, or a library that grows for years."""
    for name, value in home.environment.items():
        patch.setenv(name, value)
    for number in range(times):
        shares = [96, 1, 1, 1, 1] if number % 2 == 0 else [1, 1, 1, 1, 96]
        settings = load(flags={"rating": {"shares": shares, "mode": mode}})
        with Library.open(settings.database_path) as library:
            assert rerate.calibrate(library, settings, time.time()).to_rate
            rerate.write(library, settings)


@pytest.mark.parametrize("mode", ["sidecar", "embed"])
@pytest.mark.parametrize("is_old", [False, True], ids=["new", "of an earlier version"])
def test_the_journal_stays_short_and_leads_back_to_the_first_bytes(
    home: Home, mode: str, is_old: bool, full: bool, figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not full and is_old == (mode == "sidecar"):
        pytest.skip("the long form tries every mode with every library")
    count, times = (34, 40) if full else (6, 6)
    before = photos_of(home.photos, count)
    home.maclip("run", "--once", home.photos, MACLIP_RATING__MODE=mode)
    with monkeypatch.context() as patch:
        if is_old:  # which joined nothing
            patch.setattr(journal_compaction, "confirm", rating_journal.confirm)
        rate_again_and_again(home, times, mode, patch)
    per_file = "select max(n) from (select count(*) as n from rating_journal group by target_path)"
    expected = times + 1 if is_old else 1
    assert abs(home.sql(per_file)[0][0] - expected) <= is_old
    if is_old:
        home.maclip("run", "--once", home.photos, MACLIP_RATING__MODE="off")
        assert home.sql(per_file) == [(1,)]
    assert "restored" in home.maclip("undo").stdout
    assert contents(home.photos) == before
    assert home.sql(per_file) == [(1,)]
    figures(rounds=times, files=count, faults=times, note="stars changed again and again")
