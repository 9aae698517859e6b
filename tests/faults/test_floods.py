"""Floods of files: all are scored, renames score nothing again, memory and the event queue stay bounded."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maclip_daemon.pipeline.discovery.discovery_stage import MAX_QUEUED_EVENTS
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import LoggedDaemon, Memory, running
from tests.homes import TIMEOUT_S, Home, until

MEMORY_GROWTH_LIMIT_BYTES = 50 * 1000 * 1000  # the promise
FULL_TIMEOUT_S = 5400  # for the long form on a loaded machine; not a measured limit
LARGE_BATCHES = {"MACLIP_SCORING__BATCH_PHOTOS": "64"}  # as for a GPU: more pixels in transit at a time
SMALL_VIEWS = {"MACLIP_SCORING__PROTOCOL": "agiqa224"}  # two views a photo: scores do not matter here


def tiny_photo(path: Path, seed: int) -> Path:
    """Write a real JPEG of 16×16 pixels that depend on the seed."""
    colours = np.random.default_rng(seed).integers(0, 255, (2, 2, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(colours).resize((16, 16)).save(data, "JPEG", quality=90)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.getvalue())
    return path


def seed_of(number: int) -> int:
    """Return one seed for four photos: each is decoded, but usually only one is scored."""
    return number // 4


def write_tree(folder: Path, count: int, first: int, branches: int = 8) -> Path:
    """Write numbered photos into nested folders; return the top folder."""
    for number in range(first, first + count):
        tiny_photo(folder / f"{number % branches}" / f"{number % 3}" / f"{number:06d}.jpg", seed_of(number))
    return folder


def photos_in(folder: Path) -> dict[str, bytes]:
    """Return the content of the photos below a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.rglob("*.jpg")}


def scored_names(home: Home) -> list[str]:
    return [name for (name,) in home.sql("select file_name from photo_quality where state = 'scored'")]


def wait_for_scores(home: Home, names: set[str], *, full: bool = False) -> None:
    """Wait until the photos are scored and the queue is empty."""
    timeout_s = FULL_TIMEOUT_S if full else TIMEOUT_S
    counted = "select count(*) from photo_quality where state = 'scored'"
    until(lambda: home.sql(counted) == [(len(names),)], f"{len(names)} scores", timeout_s)
    until(home.is_at_rest, "rest", timeout_s)
    assert sorted(scored_names(home)) == sorted(names)
    assert home.sql("select count(*) from photo_failures") == [(0,)]


def wait_for_first_scan(home: Home) -> None:
    until(lambda: home.sql("select 1 from roots where scanned_at is not null"), "a first scan")


def wait_for_scans(daemon: LoggedDaemon, count: int) -> None:
    """Wait for so many more complete scans of the root."""
    before = daemon.log_text().count("] folder scanned ")
    until(lambda: daemon.log_text().count("] folder scanned ") >= before + count, f"{count} more scans")


def test_a_flood_of_files_is_scored_completely_in_bounded_memory(
    home: Home, full: bool, figures: Figures
) -> None:
    count = 20_000 if full else 600
    with running(home, MACLIP_LOG__LEVEL="debug", **LARGE_BATCHES) as daemon:
        wait_for_first_scan(home)
        memory = Memory(daemon.process.pid)
        # In one flat folder and in many, as fast as the disk takes them.
        for number in range(count):
            folder = "flat" if number % 8 else f"tree/{number % 40}"
            tiny_photo(home.photos / folder / f"{number:06d}.jpg", seed_of(number))
        originals = photos_in(home.photos)
        wait_for_scores(home, set(originals), full=full)
        grown = memory.grown()
        log = daemon.stop()
    assert daemon.process.returncode == 0, log[-2000:]
    assert grown < MEMORY_GROWTH_LIMIT_BYTES, f"the daemon grew by {grown / 1e6:.0f} MB"
    assert daemon.sum_in_log("scored", "photos") == count, "a photo was decoded twice"
    assert photos_in(home.photos) == originals
    assert len(list(home.photos.rglob("*.xmp"))) == count
    figures(rounds=1, files=count, faults=1, note=f"{count} at once: memory grew by {grown / 1e6:.0f} MB")


@pytest.mark.long_form
@pytest.mark.skipif(shutil.which("tar") is None, reason="there is no tar on this machine")
def test_trees_that_are_moved_in_or_unpacked_are_scored_completely(home: Home, figures: Figures) -> None:
    count = 1_000
    moved = write_tree(home.folder / "card", count, 0)
    packed = write_tree(home.folder / "packed", count, count)
    originals = photos_in(moved) | photos_in(packed)
    archive = home.folder / "archive.tar"
    subprocess.run(["tar", "-cf", archive, "-C", packed.parent, packed.name], check=True)
    with running(home, MACLIP_LOG__LEVEL="debug", **SMALL_VIEWS) as daemon:
        wait_for_first_scan(home)
        moved.rename(home.photos / "moved in")
        subprocess.run(["tar", "-xf", archive, "-C", home.photos], check=True)
        wait_for_scores(home, set(originals), full=True)
        daemon.stop()
    assert daemon.sum_in_log("scored", "photos") == 2 * count, "a photo was decoded twice"
    assert photos_in(home.photos) == originals
    figures(rounds=2, files=2 * count, faults=2, note=f"trees of {count} moved in and unpacked")


@pytest.mark.long_form
def test_a_renamed_folder_keeps_its_scores_and_nothing_is_decoded_again(home: Home, figures: Figures) -> None:
    count = 5_000
    write_tree(home.photos / "2026" / "before", count, 0)
    what = (
        "select file_name, photos.id, score, scored_at, pixel_hash from photo_quality"
        " join photos using (file_name) order by file_name"
    )
    where = "select distinct substr(folder, 1, ?) from photo_quality where state = 'scored'"
    settings = {"MACLIP_LOG__LEVEL": "debug", "MACLIP_FOLDERS__RESCAN_INTERVAL_S": "2", **SMALL_VIEWS}
    with running(home, **settings) as daemon:
        wait_for_scores(home, {f"{number:06d}.jpg" for number in range(count)}, full=True)
        known = home.sql(what)
        assert len(known) == count
        originals = photos_in(home.photos)
        # While the daemon watches: into the same parent, then into a new folder, with sidecars.
        for new in ("2026/after", "elsewhere/after"):
            old = next(home.photos.glob("*/*"))
            (home.photos / new).parent.mkdir(exist_ok=True)
            old.rename(home.photos / new)
            place = str(home.photos / new)
            until(lambda place=place: home.sql(where, len(place)) == [(place,)], f"the photos in {place}")
            wait_for_scans(daemon, 2)
            assert home.sql(what) == known
        # While the daemon is stopped: the next scan recognises them by their inodes.
        daemon.stop()
    (home.photos / "elsewhere").rename(home.photos / "asleep")
    with running(home, **settings) as daemon:
        place = str(home.photos / "asleep" / "after")
        until(lambda: home.sql(where, len(place)) == [(place,)], "the photos found again")
        wait_for_scans(daemon, 2)
        wait_for_scores(home, set(originals), full=True)
        daemon.stop()
    assert home.sql(what) == known
    assert daemon.sum_in_log("scored", "photos") == count, "a photo was decoded twice"
    assert photos_in(home.photos) == originals
    figures(rounds=3, files=count, faults=3, note=f"a folder with {count} photos renamed three times")


def test_an_overflow_of_the_event_queue_ends_in_a_scan_that_misses_nothing(
    home: Home, figures: Figures
) -> None:
    noise = [tiny_photo(home.photos / f"noise{number}.jpg", number) for number in range(2)]
    with running(home) as daemon:
        wait_for_scores(home, {"noise0.jpg", "noise1.jpg"})
        memory = Memory(daemon.process.pid)
        # Another program locks the database: the thread that handles events waits, and they pile up.
        other = sqlite3.connect(home.data / "library.db", isolation_level=None, timeout=30)
        other.execute("begin immediate")
        for path in noise:
            path.touch()
        lost = []
        for turn in range(30):
            for _ in range(MAX_QUEUED_EVENTS // 10):
                for path in noise:
                    os.close(os.open(path, os.O_WRONLY))  # the kernel merges equal events in a row
            lost.append(tiny_photo(home.photos / f"lost{turn:02d}.jpg", 100 + turn))
            time.sleep(0.2)  # on a busy machine the kernel's own queue would overflow first
        other.execute("rollback")
        other.close()
        until(lambda: "too many events at once" in daemon.log_text(), "the overflow")
        wait_for_scores(home, {path.name for path in [*noise, *lost]})
        grown = memory.grown()
        daemon.stop()
    assert grown < MEMORY_GROWTH_LIMIT_BYTES, f"the daemon grew by {grown / 1e6:.0f} MB"
    events = 6 * MAX_QUEUED_EVENTS
    figures(rounds=1, files=32, faults=1, note=f"{events} events while the queue holds {MAX_QUEUED_EVENTS}")
