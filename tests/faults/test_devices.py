"""Out of memory, a device that fails until its process is new, a model that goes or is replaced: work waits
or shrinks, resumes by itself, no photo is burnt, and no score comes from other weights than it says."""

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

QUICK, FULL = 18, 72  # photos
SAME = 1e-4  # the order of sums differs with the size of a batch
SETTINGS = {
    "MACLIP_SCORING__PRECISION": "fp32",
    "MACLIP_SCORING__DEVICE": "cpu",
    "MACLIP_JOBS__PAUSE_S": "1",
}


@pytest.fixture(scope="module")
def gallery(
    tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, request: pytest.FixtureRequest
) -> Home:
    """Photos, scored on a device that works."""
    home = Home(tmp_path_factory.mktemp("gallery"), checkpoint)
    home.environment |= SETTINGS | {"MACLIP_RATING__MODE": "off"}
    make_photos(home.photos, FULL if request.config.getoption("--full") else QUICK)
    home.maclip("run", "--once", home.photos)
    return home


@pytest.fixture
def there(home: Home, device: Device) -> Home:
    """A home whose daemon scores on the misbehaving device."""
    home.environment |= SETTINGS | device.environment
    return home


def add_photos(home: Home, gallery: Home, first: int = 0, last: int | None = None) -> set[str]:
    """Copy photos of the gallery; returns all names that are in the home by now."""
    for photo in sorted(gallery.photos.iterdir())[first:last]:
        shutil.copyfile(photo, home.photos / photo.name)
    return {path.name for path in home.photos.glob("*.jpg")}


def originals_of(home: Home, gallery: Home, names: set[str]) -> dict[Path, bytes]:
    """What the photos of a home are to be, byte for byte."""
    return {home.photos / name: (gallery.photos / name).read_bytes() for name in names}


def paused(home: Home) -> str:
    """Why scoring rests, as `maclip status` would say."""
    notes: Any = home.sql("select json_extract(value, '$.pauses.model') from notes where key = 'daemon'")
    return str(notes[0][0]) if notes and notes[0][0] else ""


def assert_nothing_is_lost(home: Home, gallery: Home, originals: dict[Path, bytes]) -> None:
    """Every photo has the right score and a sidecar, none was burnt, the originals are as they were."""
    right = gallery.scored()
    scored = until(lambda: len(found := home.scored()) == len(originals) and found, "all scores")
    assert scored == {name: pytest.approx(right[name], abs=SAME) for name in scored}
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photo_failures") == [(0,)]
    until(lambda: len(list(home.photos.glob("*.xmp"))) == len(originals), "all sidecars")
    assert {path: data for path, data in contents(home.photos).items() if path in originals} == originals
    assert home.sql("pragma integrity_check") == [("ok",)]


def test_out_of_memory_makes_smaller_batches_and_the_same_scores(
    there: Home, gallery: Home, device: Device, figures: Figures
) -> None:
    names = add_photos(there, gallery)
    originals = contents(there.photos)
    device.has_room_for(3)
    with running(there) as daemon:
        assert_nothing_is_lost(there, gallery, originals)
        assert "a batch was lost" not in daemon.said()
    sizes = [views for _, views in device.batches()]
    too_large = [size for size in sizes if size > 3]
    assert 0 < len(too_large) < 16, "it has learned what fits"
    figures(rounds=1, files=len(names), faults=len(too_large), note="batches that did not fit")


def test_a_device_whose_memory_others_hold_is_waited_for(
    there: Home, gallery: Home, device: Device, full: bool, figures: Figures
) -> None:
    rounds = 6 if full else 2
    step = len(gallery.scored()) // rounds
    names: set[str] = set()
    with running(there) as daemon:
        for number in range(rounds):
            device.has_room_for(0)
            names = add_photos(there, gallery, number * step, (number + 1) * step)
            until(lambda: "is full" in paused(there), "the pause in status")
            assert "Close what else uses it" in there.maclip("status").stdout
            tried = len(device.batches())
            until(lambda tried=tried: len(device.batches()) > tried + 1, "another try")
            assert there.sql("select count(*) from photo_failures") == [(0,)]
            assert there.sql("select max(attempts) from jobs") == [(0,)], "an attempt was counted"
            device.has_room_for(None)
            until(lambda names=names: there.scored().keys() == names, "work after the pause")
            until(lambda: not paused(there), "the end of the pause in status")
        assert daemon.said().count("] resumed ") == rounds
        assert_nothing_is_lost(there, gallery, originals_of(there, gallery, names))
    figures(rounds=rounds, files=len(names), faults=rounds, note="times without memory")


def test_a_cuda_error_that_sticks_ends_with_its_process(
    there: Home, gallery: Home, device: Device, full: bool, figures: Figures
) -> None:
    breaks = 6 if full else 1
    step = len(gallery.scored()) // breaks
    names: set[str] = set()
    with running(there) as daemon:
        for number in range(breaks):
            device.breaks_once()
            last = (number + 1) * step if number + 1 < breaks else None
            names = add_photos(there, gallery, number * step, last)
            until(lambda names=names: there.scored().keys() == names, "work after the error")
            assert not device.is_about_to_break
        assert_nothing_is_lost(there, gallery, originals_of(there, gallery, names))
        assert daemon.said().count("the device is lost: CUDA error") >= breaks
    assert len({pid for pid, _ in device.batches()}) == breaks + 1, "one fresh process for each error"
    figures(rounds=breaks, files=len(names), faults=breaks, note="CUDA errors that stick")


def test_a_device_that_breaks_every_process_is_waited_for(
    there: Home, gallery: Home, device: Device, figures: Figures
) -> None:
    names = add_photos(there, gallery)
    originals = contents(there.photos)
    device.is_broken(True)
    with running(there):
        until(lambda: "CUDA error" in paused(there), "the pause in status")
        tried = {pid for pid, _ in device.batches()}
        until(lambda: len({pid for pid, _ in device.batches()} - tried) > 1, "fresh processes")
        assert there.sql("select count(*) from photo_failures") == [(0,)]
        assert there.sql("select max(attempts) from jobs where kind = 'score'") == [(0,)], (
            "an attempt was counted"
        )
        device.is_broken(False)
        assert_nothing_is_lost(there, gallery, originals)
    figures(rounds=1, files=len(names), faults=1, note="a device broken for good, until it was not")


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


def test_a_model_that_goes_or_is_replaced_never_mixes_its_scores_with_others(
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
        until(lambda: "watching" in daemon.said(), "the daemon's start")
        for number in range(rounds):
            replace = REPLACEMENTS[number % len(REPLACEMENTS)]
            if number % 2 == 0:  # before there is work; else in the midst of it
                replace(model, other.read_bytes())
            names = add_photos(home, gallery, number * step, (number + 1) * step)
            if number % 2:
                time.sleep(chance.uniform(0, 0.8))
                replace(model, other.read_bytes())
            said = "is gone" if replace is by_deleting else "was replaced by another one"
            until(
                lambda said=said, names=names: said in paused(home) or home.scored().keys() == names,
                "the pause in status",
            )
            (in_place if replace is in_place else by_renaming)(model, checkpoint.read_bytes())
            until(lambda names=names: home.scored().keys() == names, "work after the model was put back")
            until(lambda: not paused(home), "the end of the pause in status")
        assert_nothing_is_lost(home, gallery, originals_of(home, gallery, names))
        assert home.sql("select count(*) from scoring_configs") == [(1,)]
        assert daemon.said().count("Put it back, or restart maclip") >= (rounds + 1) // 2
        # What the advice says: started again (or told to reload), it takes the other one under its own name.
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
    figures(rounds=rounds, files=len(names), faults=rounds, note="models gone or replaced")
