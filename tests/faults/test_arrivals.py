"""Files that are still being written are scored once, when complete, or not at all."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.faults.conftest import Figures
from tests.faults.slow_copies import PAUSE_S, SETTLE_S, Arrival, DatabaseSampler, SlowCopier
from tests.homes import Home, make_photo, until

MOST_STALLED = 5  # rounds in which a piece came so late that the file counted as complete
SAME_SCORE = 1e-3  # photos that share a batch round differently in bf16; other photos differ by far more
DECODER, METADATA = "maclip_daemon.photos.decoder_process", "maclip_daemon.metadata.metadata_process"
LEASED_RATING = (
    "select 1 from jobs j join photos p on p.id = j.photo_id"
    " where j.kind = 'rate' and j.state = 'leased' and p.file_name = 'titled.jpg'"
)
TITLE = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt>
<rdf:li xml:lang="x-default">A title of its own</rdf:li></rdf:Alt></dc:title></rdf:Description>
</rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def daemon(home: Home) -> subprocess.Popen[str]:
    home.environment["MACLIP_RATING__MINIMUM_PHOTOS"] = "2"
    make_photo(home.photos / "first.jpg", 1)
    started = home.daemon(
        MACLIP_FOLDERS__SETTLE_S=str(SETTLE_S),
        MACLIP_DECODING__WORKERS="1",
        MACLIP_JOBS__RETRY_BASE_S="0.5",
    )
    until(lambda: "first.jpg" in home.scored(), "the first photo")
    return started


def test_a_file_that_arrives_slowly_is_scored_once_and_only_when_complete(
    home: Home, daemon: subprocess.Popen[str], full: bool, figures: Figures
) -> None:
    rounds = 8 if full else 1
    arrivals: list[Arrival] = []
    stalled = 0
    counted = 0
    with DatabaseSampler(home) as sampler:
        while counted < rounds:
            assert stalled < MOST_STALLED, "the machine pauses in each round"
            copier = SlowCopier(home, counted + stalled + 1)
            arrived = copier.everything()
            until(lambda arrived=arrived: is_finished(home, arrived), "every photo scored")
            if copier.stalled:
                stalled += 1
            else:
                counted += 1
                arrivals += arrived
    assert_scores_in_order(home, arrivals, sampler)
    ways = len(arrivals) // rounds
    figures(
        rounds=rounds,
        files=len(arrivals),
        faults=len(arrivals),
        note=f"{ways} ways to arrive; {stalled} more rounds in which the machine paused did not count",
    )


@pytest.mark.long_form
def test_a_photo_overwritten_while_it_waits_for_the_decoder_is_scored_when_complete(
    home: Home, daemon: subprocess.Popen[str], figures: Figures
) -> None:
    arrivals: list[Arrival] = []
    rounds = 4
    with DatabaseSampler(home) as sampler:
        for seed in range(1, rounds + 1):
            copier = SlowCopier(home, seed)
            paths = [home.photos / f"seed {seed}" / f"{mode}.jpg" for mode in ("wb", "r+b")]
            copier.scored(home.photos / f"seed {seed}" / "wakes the decoder.jpg")
            with ThreadPoolExecutor() as pool, stopped(daemon, DECODER):
                for path in paths:
                    path.write_bytes(copier.picture())
                until(lambda paths=paths: are_waiting(home, paths), "the photos to wait for the decoder")
                pictures = [copier.picture() for _ in paths]
                before = {path: path.stat().st_mtime_ns for path in paths}
                for path, picture in zip(paths, pictures, strict=True):
                    pool.submit(copier.write, path, picture, mode=path.stem)
                until(
                    lambda before=before: all(path.stat().st_mtime_ns != was for path, was in before.items()),
                    "the first pieces",
                )
                time.sleep(PAUSE_S)
            for path, picture in zip(paths, pictures, strict=True):
                os.truncate(path, len(picture))
            arrived = [Arrival(path, [picture]) for path, picture in zip(paths, pictures, strict=True)]
            until(lambda arrived=arrived: is_finished(home, arrived), "every photo scored")
            if not copier.stalled:
                arrivals += arrived
    assert_scores_in_order(home, arrivals, sampler)
    figures(
        rounds=rounds, files=len(arrivals), faults=len(arrivals), note="overwritten between queue and decoder"
    )


def test_a_sidecar_is_never_made_from_a_part_of_its_photo(
    home: Home, daemon: subprocess.Popen[str], full: bool, figures: Figures
) -> None:
    rounds = 4 if full else 1
    make_photo(home.photos / "second.jpg", 2)
    until((home.photos / "second.jpg.xmp").exists, "the first ratings")
    for seed in range(1, rounds + 1):
        copier = SlowCopier(home, seed)
        photo = home.photos / f"seed {seed}" / "titled.jpg"
        copier.scored(photo.with_name("wakes the metadata process.jpg"))
        until(photo.with_name("wakes the metadata process.jpg.xmp").exists, "its sidecar")
        until(home.is_at_rest, "rest")
        with stopped(daemon, METADATA):
            photo.write_bytes(titled(copier.picture()))
            until(lambda photo=photo: photo.name in home.scored(), "the score")
            until(lambda: home.sql(LEASED_RATING), "its rating")
            photo.write_bytes(b"")  # another program starts to overwrite it
        time.sleep(3 * PAUSE_S)
        photo.write_bytes(picture := titled(copier.picture()))
        until(lambda photo=photo: photo.with_name("titled.jpg.xmp").exists(), "its sidecar")
        until(home.is_at_rest, "rest")
        assert b"A title of its own" in photo.with_name("titled.jpg.xmp").read_bytes()
        assert photo.read_bytes() == picture
        assert not home.sql("select * from photo_failures")
        photo.unlink()
        until(lambda: "titled.jpg" not in home.scored(), "the end of the photo")
    figures(rounds=rounds, files=rounds, faults=rounds, note="overwritten between score and sidecar")


def titled(picture: bytes) -> bytes:
    """Return the photo with a title in its metadata, as photo managers embed it."""
    packet = b"http://ns.adobe.com/xap/1.0/\0" + TITLE.encode()
    return picture[:2] + b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet + picture[2:]


@contextlib.contextmanager
def stopped(daemon: subprocess.Popen[str], module: str) -> Iterator[None]:
    """Suspend the daemon's children of this module."""
    children = [child for child in psutil.Process(daemon.pid).children() if module in child.cmdline()]
    assert children
    for child in children:
        child.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(signal.SIGCONT)


def are_waiting(home: Home, paths: list[Path]) -> bool:
    names = {name for (name,) in home.sql("select file_name from photos where state = 'waiting'")}
    return {path.name for path in paths} <= names


def is_finished(home: Home, arrivals: list[Arrival]) -> bool:
    """Return whether the last state of every file is scored and no job is left."""
    rows = home.sql("select path, width from photo_quality where state = 'scored'")
    last = {
        (str(arrival.path), Image.open(io.BytesIO(arrival.states[-1])).width)
        for arrival in arrivals
        if arrival.states
    }
    return last <= set(rows) and home.is_at_rest()


def assert_scores_in_order(home: Home, arrivals: list[Arrival], sampler: DatabaseSampler) -> None:
    """Check that each file had the score of each complete state, in order, and no other."""
    ours = {str(arrival.path) for arrival in arrivals}
    assert not [failure for failure in sampler.failures if failure[0] in ours]
    states = home.folder / "states"
    for number, arrival in enumerate(arrivals):
        for order, state in enumerate(arrival.states):
            (states / str(number)).mkdir(parents=True, exist_ok=True)
            (states / str(number) / f"{order}.jpg").write_bytes(state)
    answers = map(json.loads, home.maclip("score", states, "--json").stdout.splitlines())
    right = {answer["path"]: answer["score"] for answer in answers}
    for number, arrival in enumerate(arrivals):
        expected = [right[str(states / str(number) / f"{order}.jpg")] for order in range(len(arrival.states))]
        seen = sampler.scores.get(str(arrival.path), [])
        assert seen == pytest.approx(expected, abs=SAME_SCORE), arrival.path
    temporary = {"browser.jpg.part", ".synced.jpg.Xa1b2C", "tmp_export.jpg", "before.jpg", "saved.jpg~"}
    assert not temporary & {name for (name,) in home.sql("select file_name from photos")}
