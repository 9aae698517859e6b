"""Out of memory, a device that fails until its process restarts, a deleted or replaced model.

Batches shrink, or work waits and resumes; no photo fails, and every score names its own weights.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.faults.misbehaving_device import Device
from tests.homes import Home, contents, make_photos, until

SHORT, FULL = 18, 72  # photos
SAME = 1e-4  # the order of summation depends on the batch size
SETTINGS = {
    "MACLIP_SCORING__PRECISION": "fp32",
    "MACLIP_SCORING__DEVICE": "cpu",
    "MACLIP_JOBS__PAUSE_S": "1",
}


@pytest.fixture(scope="module")
def gallery(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, request: pytest.FixtureRequest
) -> Home:
    """Return a home whose photos were scored on a working device."""
    home = Home(tmp_path_factory.mktemp("gallery"), checkpoint)
    home.environment |= SETTINGS | {"MACLIP_RATING__MODE": "off"}
    make_photos(home.photos, FULL if request.config.getoption("--full") else SHORT)
    home.maclip("run", "--once", home.photos)
    return home


@pytest.fixture
def faulty_home(home: Home, device: Device) -> Home:
    """Return a home whose daemon scores on the misbehaving device."""
    home.environment |= SETTINGS | device.environment
    return home


def add_photos(home: Home, gallery: Home, first: int = 0, last: int | None = None) -> set[str]:
    """Copy photos of the gallery; return the names of all photos in the home."""
    for photo in sorted(gallery.photos.iterdir())[first:last]:
        shutil.copyfile(photo, home.photos / photo.name)
    return {path.name for path in home.photos.glob("*.jpg")}


def originals_of(home: Home, gallery: Home, names: set[str]) -> dict[Path, bytes]:
    """Return the expected content of a home's photos."""
    return {home.photos / name: (gallery.photos / name).read_bytes() for name in names}


def pause_reason(home: Home) -> str:
    """Return why scoring is paused, as `maclip status` prints it."""
    notes: Any = home.sql("select json_extract(value, '$.pauses.model') from notes where key = 'daemon'")
    return str(notes[0][0]) if notes and notes[0][0] else ""


def assert_nothing_is_lost(home: Home, gallery: Home, originals: dict[Path, bytes]) -> None:
    """Check scores, sidecars and originals, and that no photo failed."""
    right = gallery.scored()
    scored = until(lambda: len(found := home.scored()) == len(originals) and found, "all scores")
    assert scored == {name: pytest.approx(right[name], abs=SAME) for name in scored}
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    until(lambda: len(list(home.photos.glob("*.xmp"))) == len(originals), "all sidecars")
    assert {path: data for path, data in contents(home.photos).items() if path in originals} == originals
    assert home.sql("pragma integrity_check") == [("ok",)]


def test_out_of_memory_leads_to_smaller_batches_and_the_same_scores(
    faulty_home: Home, gallery: Home, device: Device, figures: Figures
) -> None:
    names = add_photos(faulty_home, gallery)
    originals = contents(faulty_home.photos)
    device.limit_memory(3)
    with running(faulty_home) as daemon:
        assert_nothing_is_lost(faulty_home, gallery, originals)
        assert "a batch was lost" not in daemon.log_text()
    sizes = [views for _, views in device.batches()]
    too_large = [size for size in sizes if size > 3]
    assert 0 < len(too_large) < 16, "the batch size was not learned"
    figures(rounds=1, files=len(names), faults=len(too_large), note="batches that did not fit")


@pytest.mark.long_form
def test_scoring_waits_for_a_device_whose_memory_is_in_use(
    faulty_home: Home, gallery: Home, device: Device, figures: Figures
) -> None:
    rounds = 6
    step = len(gallery.scored()) // rounds
    names: set[str] = set()
    with running(faulty_home) as daemon:
        for number in range(rounds):
            device.limit_memory(0)
            names = add_photos(faulty_home, gallery, number * step, (number + 1) * step)
            until(lambda: "is full" in pause_reason(faulty_home), "the pause in status")
            assert "Close other programs" in faulty_home.maclip("status").stdout
            tried = len(device.batches())
            until(lambda tried=tried: len(device.batches()) > tried + 1, "another try")
            assert faulty_home.sql("select count(*) from photo_failures") == [(0,)]
            assert faulty_home.sql("select max(attempts) from jobs") == [(0,)], "an attempt was counted"
            device.limit_memory(None)
            until(lambda names=names: faulty_home.scored().keys() == names, "the scores after the pause")
            until(lambda: not pause_reason(faulty_home), "the end of the pause in status")
        assert daemon.log_text().count("] resumed ") == rounds
        assert_nothing_is_lost(faulty_home, gallery, originals_of(faulty_home, gallery, names))
    figures(rounds=rounds, files=len(names), faults=rounds, note="times without memory")


@pytest.mark.long_form
def test_a_persistent_cuda_error_ends_with_its_process(
    faulty_home: Home, gallery: Home, device: Device, figures: Figures
) -> None:
    breaks = 6
    step = len(gallery.scored()) // breaks
    names: set[str] = set()
    with running(faulty_home) as daemon:
        for number in range(breaks):
            device.break_once()
            last = (number + 1) * step if number + 1 < breaks else None
            names = add_photos(faulty_home, gallery, number * step, last)
            until(lambda names=names: faulty_home.scored().keys() == names, "the scores after the error")
            assert not device.is_about_to_break
        assert_nothing_is_lost(faulty_home, gallery, originals_of(faulty_home, gallery, names))
        assert daemon.log_text().count("the device is lost: CUDA error") >= breaks
    assert len({pid for pid, _ in device.batches()}) == breaks + 1, "one fresh process for each error"
    figures(rounds=breaks, files=len(names), faults=breaks, note="persistent CUDA errors")


def test_scoring_waits_for_a_device_that_fails_in_every_process(
    faulty_home: Home, gallery: Home, device: Device, figures: Figures
) -> None:
    names = add_photos(faulty_home, gallery)
    originals = contents(faulty_home.photos)
    device.set_broken(True)
    with running(faulty_home):
        until(lambda: "CUDA error" in pause_reason(faulty_home), "the pause in status")
        tried = {pid for pid, _ in device.batches()}
        until(lambda: len({pid for pid, _ in device.batches()} - tried) > 1, "fresh processes")
        assert faulty_home.sql("select count(*) from photo_failures") == [(0,)]
        assert faulty_home.sql("select max(attempts) from jobs where kind = 'score'") == [(0,)], (
            "an attempt was counted"
        )
        device.set_broken(False)
        assert_nothing_is_lost(faulty_home, gallery, originals)
    figures(
        rounds=1,
        files=len(names),
        faults=1,
        note="a device that failed in every process",
    )


def in_place(model: Path, weights: bytes) -> None:
    with model.open("r+b") as file:
        file.write(weights)
        file.truncate()


def by_renaming(model: Path, weights: bytes) -> None:
    beside = model.with_name("beside")
    beside.write_bytes(weights)
    beside.replace(model)


def by_deleting(model: Path, weights: bytes) -> None:
    model.unlink()


REPLACEMENTS: list[Callable[[Path, bytes], None]] = [by_renaming, by_deleting, in_place]


def test_scores_never_mix_when_the_model_file_is_deleted_or_replaced(
    home: Home, gallery: Home, checkpoint: Path, full: bool, figures: Figures
) -> None:
    model, other = home.folder / "clip.safetensors", home.folder / "other.safetensors"
    write_seeded_checkpoint(other, seed=7)
    shutil.copyfile(checkpoint, model)
    home.environment |= SETTINGS | {"MACLIP_SCORING__MODEL": f"file:{model}"}
    rounds = 9 if full else 3
    step = len(gallery.scored()) // rounds
    chance = random.Random(5)
    names: set[str] = set()
    with running(home) as daemon:
        until(lambda: "watching" in daemon.log_text(), "the daemon's start")
        for number in range(rounds):
            replace = REPLACEMENTS[number % len(REPLACEMENTS)]
            if number % 2 == 0:  # before there is work; else during work
                replace(model, other.read_bytes())
            names = add_photos(home, gallery, number * step, (number + 1) * step)
            if number % 2:
                time.sleep(chance.uniform(0, 0.8))
                replace(model, other.read_bytes())
            expected = "is gone" if replace is by_deleting else "was replaced by another one"
            until(
                lambda expected=expected, names=names: (
                    expected in pause_reason(home) or home.scored().keys() == names
                ),
                "the pause in status",
            )
            (in_place if replace is in_place else by_renaming)(model, checkpoint.read_bytes())
            until(lambda names=names: home.scored().keys() == names, "the scores with the model restored")
            until(lambda: not pause_reason(home), "the end of the pause in status")
        assert_nothing_is_lost(home, gallery, originals_of(home, gallery, names))
        assert home.sql("select count(*) from scoring_configs") == [(1,)]
        assert daemon.log_text().count("Put it back, or restart maclip") >= (rounds + 1) // 2
        # As the message advises, a reload uses the other model, under its own name.
        by_renaming(model, other.read_bytes())
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: home.sql("select count(*) from scores") == [(2 * len(names),)], "scores by both")
    models = dict(
        home.sql(
            "select model, count(*) from scores join scoring_configs c on c.id = scoring_config_id group by 1"
        )
    )
    assert list(models.values()) == [len(names)] * 2
    assert len(models) == 2
    by_the_first = home.sql(
        "select p.file_name, s.score from scores s join photos p on p.id = s.photo_id"
        " where s.scoring_config_id = 1"
    )
    right = gallery.scored()
    assert dict(by_the_first) == {name: pytest.approx(right[name], abs=SAME) for name in names}
    figures(rounds=rounds, files=len(names), faults=rounds, note="models deleted or replaced")
