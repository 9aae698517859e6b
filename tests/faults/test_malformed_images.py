"""Malformed images: each is scored, or fails with a name and a reason, within its limits.

Other photos are scored, a person's ratings stay, the daemon keeps running with the same memory, and nothing
is left in the spool.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from maclip_daemon.photos.formats import is_photo
from tests.faults import bombs, damaged_metadata
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import LoggedDaemon, running
from tests.faults.mutated_images import SUFFIXES, mutated, whole_photos
from tests.faults.photo_files import picture, still_bytes
from tests.homes import Home, make_photos, until

DECODER = "maclip_daemon.photos.decoder_process"

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="the decoders' limits are those of Linux")

SEED = 20261120
NEIGHBOURS = 6
MAX_GROWTH = 50 << 20  # bytes of the parent process over what it had with its first photos
TIMEOUT_S = 240.0
SETTLED = """
    select (select count(*) from jobs where state <> 'dead')
         + (select count(*) from photos p where p.state = 'scored' and p.rating_owner = 'none'
            and p.rating_problem is null
            and not exists (select 1 from jobs j where j.photo_id = p.id and j.state = 'dead'))
"""


def add_files(home: Home, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (home.photos / name).write_bytes(data)


def wait_until_settled(home: Home, daemon: LoggedDaemon, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until every photo is known and only given-up jobs are left."""
    photos = sum(is_photo(path.name) for path in home.photos.iterdir())

    def is_settled() -> bool:
        assert daemon.process.poll() is None, daemon.log_text()
        return home.sql("select count(*) from photos") == [(photos,)] and home.sql(SETTLED) == [(0,)]

    until(is_settled, "every photo scored and rated, or failed", timeout_s)


def failures(home: Home) -> dict[str, str]:
    """Return failure reasons by file name."""
    found = home.sql("select path, reason from photo_failures")
    return {os.path.basename(os.fsdecode(path)): reason for path, reason in found}  # noqa: PTH119


@contextlib.contextmanager
def among_neighbours(home: Home, **environment: str) -> Iterator[LoggedDaemon]:
    """Yield a daemon that has rated a few good photos; check them and the daemon at the end."""
    make_photos(home.photos, NEIGHBOURS)
    with running(home, **environment) as daemon:
        wait_until_settled(home, daemon)
        memory = psutil.Process(daemon.process.pid).memory_info().rss
        yield daemon
        growth = psutil.Process(daemon.process.pid).memory_info().rss - memory
        log = daemon.stop()
    assert daemon.process.returncode == 0, log
    assert "unexpected error" not in log, log
    assert growth < MAX_GROWTH, f"the daemon grew by {growth >> 20} MiB"
    assert list((home.data / "spool").iterdir()) == []
    assert [path.name for path in home.photos.iterdir() if path.name.startswith(".")] == []
    assert home.sql("pragma integrity_check") == [("ok",)]
    assert not any(name.startswith("IMG_") for name in failures(home))
    for neighbour in home.photos.glob("IMG_*.jpg"):
        assert neighbour.name in home.scored()
        assert neighbour.with_name(f"{neighbour.name}.xmp").exists()
    for name, reason in failures(home).items():
        assert name in reason, f"{name}: {reason}"
        assert reason.isprintable(), reason


def slow_png(seed: int) -> bytes:
    """Return a picture that takes some tenths of a second to decode."""
    return still_bytes(picture(4000, 3000, seed=seed), "png")


def signal_working_decoder(home: Home, daemon: LoggedDaemon, fault: int) -> bool:
    """Send a signal to a decoder with a photo open; return False when none was found in time."""
    while home.sql("select 1 from jobs where kind = 'score' and state <> 'dead'"):
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(daemon.process.pid).children():
                if (
                    DECODER not in process.cmdline()
                    or process.status() == psutil.STATUS_STOPPED
                    or not has_slow_photo(process)
                ):
                    continue
                process.send_signal(signal.SIGSTOP)  # while it stands still, its photo cannot be done
                until(lambda: process.status() == psutil.STATUS_STOPPED, "the stop")  # noqa: B023
                if is_hit := has_slow_photo(process):
                    process.send_signal(fault)
                if not is_hit or fault != signal.SIGSTOP:
                    process.send_signal(signal.SIGCONT)
                if is_hit:
                    return True
    return False


def has_slow_photo(process: psutil.Process) -> bool:
    return any("slow_" in file.path for file in process.open_files())


def test_every_mutated_photo_is_scored_or_reported(home: Home, full: bool, figures: Figures) -> None:
    count = 2000 if full else 120
    chance = random.Random(SEED)
    whole = whole_photos()
    files = {}
    for number in range(count):
        suffix = SUFFIXES[number % len(SUFFIXES)]
        donors = chance.choice((whole[suffix], whole[chance.choice(SUFFIXES)]))
        files[f"bad_{number:04}.{suffix}"] = mutated(chance.choice(whole[suffix]), donors, chance)
    with among_neighbours(home, MACLIP_DECODING__TIMEOUT_S="20") as daemon:
        add_files(home, files)
        make_photos(home.photos, 10, first=NEIGHBOURS)
        wait_until_settled(home, daemon, TIMEOUT_S * (15 if full else 1))
    scored, failed = home.scored(), failures(home)
    assert {name for name in files if name not in scored and name not in failed} == set()
    assert {name: data for name, data in files.items() if (home.photos / name).read_bytes() != data} == {}
    assert len(scored) > count // 10, "too few mutated photos still decode"
    assert len(failed) > count // 10
    figures(rounds=1, files=count, faults=count, note=f"mutated: {len(failed)} failed, all reported")


@pytest.mark.long_form
def test_damaged_metadata_cost_at_most_the_rating_of_their_own_photo(home: Home, figures: Figures) -> None:
    count = 300
    files, sidecars, rated = {}, {}, {}
    for number in range(count):
        suffix, data = damaged_metadata.photo_with_damaged_metadata(number)
        files[f"meta_{number:04}_a.{suffix}"] = data
        files[f"meta_{number:04}_b.png"] = damaged_metadata.photo_whose_damage_exiv2_logs_and_throws(number)
        # Each follows a photo whose error pyexiv2 keeps for the next.
        if number % 10 == 0:
            rated[f"meta_{number:04}_c.jpg"] = damaged_metadata.rated_by_a_person(1000 + number // 10)
        if number % 3 == 0:
            sidecars[f"meta_{number:04}_a.{suffix}.xmp"] = damaged_metadata.damaged_sidecar(number)
    with among_neighbours(home) as daemon:
        add_files(home, files | rated | sidecars)
        wait_until_settled(home, daemon, TIMEOUT_S * 15)
    scored, failed = home.scored(), failures(home)
    assert set(scored) >= set(rated) | set(files), "damaged metadata failed a photo with intact pixels"
    assert {
        name for name, data in (files | rated).items() if (home.photos / name).read_bytes() != data
    } == set()
    assert [name for name in rated if (home.photos / f"{name}.xmp").exists()] == []
    owners = dict(home.sql("select file_name, rating_owner from photo_quality"))
    assert {name: owners[name] for name in rated} == dict.fromkeys(rated, "person")
    problems = dict(home.sql("select file_name, rating_problem from photos where rating_problem is not null"))
    for name in set(files) - set(failed) - set(problems):
        assert owners[name] in ("maclip", "person")
    figures(
        rounds=1,
        files=len(files) + len(rated),
        faults=len(files) + len(sidecars),
        note=f"damaged metadata and sidecars: {len(problems) + len(failed)} unwritten ratings, all reported",
    )


def test_bombs_fail_within_their_limits(home: Home, full: bool, figures: Figures, tmp_path: Path) -> None:
    made = bombs.bombs(tmp_path)
    limits = {"MACLIP_DECODING__MAX_MEGAPIXELS": "1000", "MACLIP_DECODING__MEMORY_MB": "1024"}
    with among_neighbours(home, **limits) as daemon:
        add_files(home, {name: data for name, (data, _) in made.items()})
        if full:
            bombs.real_jpeg(home.photos / "real.jpg")
        make_photos(home.photos, 3, first=NEIGHBOURS)
        wait_until_settled(home, daemon)
    scored, failed = home.scored(), failures(home)
    attempts = dict(home.sql("select path, attempts from photo_failures"))
    for name, (_, reason) in made.items():
        assert (name in scored) is not (name in failed)
        if reason:
            assert attempts[str(home.photos / name)] == 1, "a permanent error was retried"
            assert any(words in failed[name] for words in reason.split("|")), failed[name]
    figures(rounds=1, files=len(made) + full, faults=len(made) + full, note="bombs; 30 000×30 000 pixels")


def test_a_decoder_that_crashes_or_hangs_fails_only_its_photo(
    home: Home, full: bool, figures: Figures
) -> None:
    rounds = 5 if full else 1
    environment = {"MACLIP_DECODING__TIMEOUT_S": "5", "MACLIP_JOBS__MAX_ATTEMPTS": "1"}
    faults = photos = 0
    with among_neighbours(home, **environment) as daemon:
        for _ in range(rounds):
            for fault in (signal.SIGSTOP, signal.SIGSEGV):
                is_hit = False
                while not is_hit:  # a test that was held up meets none at work any more
                    assert photos < 100 * rounds, "no decoder was met at work"
                    add_files(
                        home, {f"slow_{photos + each}.png": slow_png(photos + each) for each in range(4)}
                    )
                    photos += 4
                    known = "select count(*) from photos where file_name like 'slow_%'"
                    until(lambda: home.sql(known) == [(photos,)], "the photos in the library")  # noqa: B023
                    is_hit = signal_working_decoder(home, daemon, fault)
                faults += 1
            wait_until_settled(home, daemon)
    assert any("took longer than 5 s" in reason for reason in failures(home).values())
    for reason in failures(home).values():
        assert "ended by signal 11" in reason or "took longer than 5 s" in reason, reason
    assert sum("signal 11" in reason for reason in failures(home).values()) <= rounds
    # These photos are intact.
    home.maclip("retry")
    home.maclip("run", "--once", home.photos)
    assert len(home.scored()) == NEIGHBOURS + photos
    figures(rounds=rounds, files=photos, faults=faults, note="decoders crashed and stopped")


@pytest.mark.long_form  # tests/integration/test_metadata_process.py has it small
def test_metadata_that_make_exiv2_hang_are_given_up(home: Home, figures: Figures) -> None:
    with among_neighbours(home, MACLIP_JOBS__MAX_ATTEMPTS="1") as daemon:
        add_files(
            home, {f"busy_{seed}.png": damaged_metadata.photo_that_keeps_exiv2_busy(seed) for seed in (1, 2)}
        )
        make_photos(home.photos, 30, first=NEIGHBOURS)
        wait_until_settled(home, daemon, 2400)
    assert set(failures(home)) == {"busy_1.png", "busy_2.png"}
    assert {"busy_1.png", "busy_2.png"} <= set(home.scored())
    figures(rounds=1, files=2, faults=2, note="metadata that make exiv2 hang")
