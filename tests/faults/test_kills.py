"""`kill -9` of the daemon and its children, at random times: nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import blake3
import psutil
import pytest

from maclip_daemon.files import exchange, temporaries
from tests.faults import power_cut
from tests.faults.conftest import Figures
from tests.homes import TIMEOUT_S, Home, contents, make_photo, until

SEED = 20
CHILDREN = {
    "decoder": "maclip_daemon.photos.decoder_process",
    "scorer": "maclip_daemon.scoring.scoring_process",
    "metadata": "maclip_daemon.metadata.metadata_process",
}
WORK_OF = {"daemon": "%", "decoder": "score", "scorer": "score", "metadata": "rate"}
MOMENT_S = 0.15  # the time the metadata process needs for a few sidecars
WAIT_FOR_WORK_S = 60.0  # before a round goes on without work; a start may take that long on a loaded machine
SCORE_DIGITS = 6  # that a sidecar holds
SAME_SCORE = 1e-3  # photos that share a batch round differently in bf16; other photos differ by far more
DATA_FILES = {"library.db", "library.db-wal", "library.db-shm", "library.db.closed", "spool"}
DATA_FILES |= {
    "daemon.lock",
    "daemon.notice",
    "batch-sizes.json",
}  # in the data folder; all else is stray
XMP = "{http://ns.adobe.com/xap/1.0/}"
MACLIP = "{http://ns.maclip-daemon/quality/1.0/}"
SIDECAR = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 dc:source="card 7"{rating}/></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>
"""


@dataclass
class Kills:
    """Counts of killed processes, and of those with leased work."""

    by_victim: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WORK_OF, 0))
    busy: int = 0
    orphans: list[psutil.Process] = field(default_factory=list)
    """Children whose daemon was killed."""

    @property
    def total(self) -> int:
        return sum(self.by_victim.values())


@pytest.fixture
def kills() -> Iterator[Kills]:
    kills = Kills()
    yield kills
    for child in kills.orphans:
        with contextlib.suppress(psutil.Error):
            child.kill()


@pytest.fixture
def pool(home: Home, full: bool) -> dict[Path, dict[str, bytes]]:
    """Return the future path of each photo, with its files: itself, and for some an existing sidecar.

    Every third photo is so large that its pixels travel through the spool. One in ten has a sidecar without a
    rating, which is replaced. One in ten has a person's rating, which is left alone.
    """
    chosen: dict[Path, dict[str, bytes]] = {}
    for number in range(200 if full else 24):
        size = (640, 480) if number % 3 == 2 else (320, 240)
        drawn = make_photo(home.folder / "pool.jpg", number, size, blur=number % 4)
        photo = home.photos / f"day {number % 3}" / f"IMG_{number:04d}.jpg"
        chosen[photo] = {photo.name: drawn.read_bytes()}
        if number % 10 in (3, 7):
            rating = ' xmp:Rating="5"' if number % 10 == 7 else ""
            chosen[photo][photo.name + ".xmp"] = SIDECAR.replace("{rating}", rating).encode()
    (home.folder / "pool.jpg").unlink()
    return chosen


@pytest.mark.long_form
def test_after_kills_at_random_times_each_photo_has_one_score_and_one_correct_sidecar(
    home: Home, pool: dict[Path, dict[str, bytes]], kills: Kills, figures: Figures
) -> None:
    random_ = random.Random(SEED)
    rounds = 50
    victims = [*WORK_OF] * -(-rounds // len(WORK_OF))
    random_.shuffle(victims)
    waiting = list(pool)
    daemon = home.daemon(MACLIP_SCORING__PROTOCOL="native")
    for round_ in range(rounds):
        arriving = len(waiting) // 3 if round_ == 0 else len(waiting) // (rounds - round_)
        for photo in waiting[:arriving]:
            copy_in(photo, pool[photo])
        del waiting[:arriving]
        victim = victims[round_]
        arrived = len(pool) - len(waiting)
        wait_for_progress(home, arrived, random_.randint(0, 5))
        if random_.random() < 0.6:
            wait_for_leased_work(home, daemon, victim, arrived)
        time.sleep(random_.uniform(0, MOMENT_S))
        kill(home, daemon, victim, kills)
        time.sleep(random_.uniform(0, MOMENT_S))
        if daemon.poll() is None and random_.random() < 0.3:  # kill the parent during its recovery
            kill(home, daemon, "daemon", kills)
        if daemon.poll() is not None:
            daemon = home.daemon(MACLIP_SCORING__PROTOCOL="native")
    assert not waiting
    if daemon.poll() is None:
        kill(home, daemon, "daemon", kills)
    assert_recovered(home, pool, kills)
    figures(
        rounds=rounds,
        files=len(pool),
        faults=kills.total,
        note=", ".join(f"{count} of the {victim}" for victim, count in kills.by_victim.items())
        + f"; {kills.busy} with leased work",
    )


def test_after_kills_at_critical_moments_each_photo_has_one_score_and_one_correct_sidecar(
    home: Home, full: bool, pool: dict[Path, dict[str, bytes]], kills: Kills, figures: Figures
) -> None:
    moments = critical_moments(home)
    rounds = (3 if full else 1) * len(moments)
    hits = 0
    waiting = list(pool)
    daemon = home.daemon(MACLIP_SCORING__PROTOCOL="native")
    for round_ in range(rounds):
        victim, has_come = moments[round_ % len(moments)]
        arriving = len(waiting) // (rounds - round_)
        for photo in waiting[:arriving]:
            copy_in(photo, pool[photo])
        del waiting[:arriving]
        deadline = time.monotonic() + WAIT_FOR_WORK_S
        arrived = len(pool) - len(waiting)
        while time.monotonic() < deadline and not has_come() and not is_settled(home, arrived):
            time.sleep(0.001)
        kill(home, daemon, victim, kills)
        hits += bool(has_come())
        if daemon.poll() is not None:
            daemon = home.daemon(MACLIP_SCORING__PROTOCOL="native")
    assert not waiting
    kill(home, daemon, "daemon", kills)
    assert_recovered(home, pool, kills)
    figures(rounds=rounds, files=len(pool), faults=kills.total, note=f"{hits} of them at the intended moment")


def critical_moments(home: Home) -> list[tuple[str, Callable[[], object]]]:
    """Return pairs of a process to kill and a condition: something is half done on the disk."""

    def prepared() -> object:
        return next(home.photos.rglob(".maclip-*"), None)

    def spooled() -> object:
        return next((home.data / "spool").glob("*"), None)

    def intended() -> object:
        return home.sql("select 1 from rating_journal where state = 'intended'")

    return [
        ("daemon", (home.data / "library.db").exists),
        ("daemon", spooled),
        ("decoder", spooled),
        ("daemon", prepared),
        ("metadata", prepared),
        ("daemon", intended),
    ]


def assert_recovered(home: Home, pool: dict[Path, dict[str, bytes]], kills: Kills) -> None:
    """Start the daemon once more; check that the result is the same as without kills."""
    daemon = home.daemon(MACLIP_SCORING__PROTOCOL="native")
    pid = "select json_extract(value, '$.pid') from notes where key = 'daemon'"
    until(lambda: home.sql(pid) == [(daemon.pid,)], "the daemon at work")
    until(lambda: is_settled(home, len(pool)), f"rest after {kills}", 5 * TIMEOUT_S)
    log = home.stop(daemon)
    assert daemon.returncode == 0, log
    # A child that is still loading its libraries notices the loss of its parent only afterwards.
    _, alive = psutil.wait_procs(kills.orphans, timeout=TIMEOUT_S)
    assert not alive, f"children outlived their parent: {alive}"
    assert_database(home, pool)
    assert_files(home, pool)
    home.maclip("db", "check")
    home.maclip("undo")
    assert contents(home.photos) == {
        photo.parent / name: data for photo in pool for name, data in pool[photo].items()
    }


def copy_in(photo: Path, files: dict[str, bytes]) -> None:
    """Copy a photo in, its sidecar first, as photo managers do."""
    photo.parent.mkdir(exist_ok=True)
    for name in sorted(files, reverse=True):
        photo.with_name(name).write_bytes(files[name])


def wait_for_progress(home: Home, arrived: int, steps: int) -> None:
    """Wait for so many more scores and ratings, or until no work is left."""
    done = "select (select count(*) from scores) + (select count(*) from rating_journal)"
    deadline = time.monotonic() + WAIT_FOR_WORK_S
    before = home.sql(done)
    while time.monotonic() < deadline and not is_settled(home, arrived):
        if (now := home.sql(done)) and now[0][0] >= (before[0][0] if before else 0) + steps:
            return
        time.sleep(0.02)


def wait_for_leased_work(home: Home, daemon: subprocess.Popen[str], victim: str, arrived: int) -> None:
    """Wait, for a limited time, until the victim runs and has leased work."""
    deadline = time.monotonic() + WAIT_FOR_WORK_S
    while time.monotonic() < deadline and not (has_leased_work(home, victim) and processes(daemon, victim)):
        if is_settled(home, arrived):
            return
        time.sleep(0.02)


def has_leased_work(home: Home, victim: str) -> bool:
    return bool(home.sql("select 1 from jobs where state = 'leased' and kind like ?", WORK_OF[victim]))


def processes(daemon: subprocess.Popen[str], victim: str) -> list[psutil.Process]:
    found = []
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(daemon.pid)
        if victim == "daemon":
            return [parent]
        for child in parent.children():
            with contextlib.suppress(psutil.Error):
                if CHILDREN[victim] in child.cmdline():
                    found.append(child)
    return found


def kill(home: Home, daemon: subprocess.Popen[str], victim: str, kills: Kills) -> None:
    """Kill the victim with SIGKILL, or the daemon when that child does not run."""
    found = [] if victim == "daemon" else processes(daemon, victim)
    if found:
        with contextlib.suppress(psutil.NoSuchProcess):
            found[0].kill()
    else:
        victim = "daemon"
        daemon.send_signal(signal.SIGSTOP)  # so that nothing changes before the kill
        children = psutil.Process(daemon.pid).children()
        daemon.kill()
        daemon.communicate()
        kills.orphans += children
    kills.busy += has_leased_work(home, victim)
    kills.by_victim[victim] += 1


def is_settled(home: Home, photos: int) -> bool:
    """Return whether all is scored and rated by a final calibration, and only failed jobs are left."""
    scored = home.sql("select count(*) from photo_quality where state = 'scored'") == [(photos,)]
    at_rest = home.sql("select count(*) from jobs where state <> 'dead'") == [(0,)]
    unrated = (
        "select count(*) from photo_quality where rating_owner = 'none'"
        " or (rating_owner = 'maclip' and rating_in_file is not stars)"
    )
    last = home.sql("select max(photo_count) from calibrations")
    grown = not last or last[0][0] is None or photos >= 1.2 * last[0][0]
    return scored and at_rest and not grown and home.sql(unrated) == [(0,)]


def assert_database(home: Home, pool: dict[Path, dict[str, bytes]]) -> None:
    """Check that each photo has exactly one, correct score, and that no job or failure is left."""
    rows = home.sql("select path, score, state from photo_quality")
    assert sorted(path for path, _, _ in rows) == sorted(map(str, pool))
    assert {state for _, _, state in rows} == {"scored"}
    assert home.sql("select count(*) from photos") == [(len(pool),)]
    assert home.sql("select count(*) from scores") == [(len(pool),)]
    assert home.sql("select path, reason from photo_failures") == []
    assert home.sql("select * from jobs") == []
    assert home.sql("select count(*) from rating_journal where state = 'intended'") == [(0,)]
    assert home.sql("pragma integrity_check") == [("ok",)]
    assert home.sql("pragma foreign_key_check") == []
    undisturbed = home.maclip("score", home.photos, "--json", "--protocol", "native").stdout
    right = {answer["path"]: answer["score"] for answer in map(json.loads, undisturbed.splitlines())}
    for path, score, _ in rows:
        assert score == pytest.approx(right[path], abs=SAME_SCORE), path


def assert_files(home: Home, pool: dict[Path, dict[str, bytes]]) -> None:
    """Check that photos are unchanged, sidecars agree with the database, and no temporary file is left."""
    known = {
        Path(path): (stars, score, owner)
        for path, stars, score, owner in home.sql(
            "select path, stars, score, rating_owner from photo_quality"
        )
    }
    journal = dict(
        home.sql("select target_path, after_hash from rating_journal where state = 'written' order by id")
    )
    expected = set()
    for photo, files in pool.items():
        assert photo.read_bytes() == files[photo.name], f"{photo} was changed"
        sidecar = photo.with_name(photo.name + ".xmp")
        expected |= {photo, sidecar}
        stars, score, owner = known[photo]
        if b'xmp:Rating="5"' in files.get(sidecar.name, b""):
            assert owner == "person"
            assert sidecar.read_bytes() == files[sidecar.name], (
                f"the person's rating in {sidecar} was touched"
            )
            continue
        assert owner == "maclip"
        properties = attributes(sidecar)
        assert properties[f"{XMP}Rating"] == str(stars), sidecar
        assert float(properties[f"{MACLIP}Score"]) == round(score, SCORE_DIGITS), sidecar
        assert journal[str(sidecar)] == blake3.blake3(sidecar.read_bytes()).hexdigest(), (
            f"undo could not restore {sidecar}"
        )
    assert set(contents(home.photos)) == expected
    assert not list((home.data / "spool").iterdir())
    assert {path.name for path in home.data.iterdir()} <= DATA_FILES


def attributes(sidecar: Path) -> dict[str, str]:
    """Return the properties of a sidecar's descriptions."""
    found: dict[str, str] = {}
    for description in ElementTree.parse(sidecar).iter(
        "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description"
    ):
        found |= description.attrib
    return found


@pytest.mark.long_form
def test_a_power_cut_at_any_moment_loses_nothing(home: Home, figures: Figures) -> None:
    """The library and the photos are on disks in files; what was not flushed is not in them."""
    rounds, chance = 8, random.Random(SEED)
    for number in range(rounds):
        with power_cut.powered_disks(home.folder, home.data, home.photos) as disks:
            photos = [make_photo(home.photos / f"{each:03d}.jpg", each, (64, 48)) for each in range(120)]
            for photo in photos[::3]:
                photo.with_name(f"{photo.name}.xmp").write_text(SIDECAR.format(rating=""), "utf-8")
            catalogue = home.photos / "catalogue.db"
            catalogue.write_bytes(b"of another program")
            before = contents(home.photos)
            subprocess.run(["sync", "-f", home.photos, home.data], check=True)
            daemon = home.daemon()
            with power_cut.flushing_neighbour(catalogue):
                until(lambda: len(list(home.photos.glob("*.xmp"))) > 45, "sidecars")
                time.sleep(chance.uniform(0, 4))
            disks.cut_power(psutil.Process(daemon.pid))
            daemon.communicate()
            if any(temporaries.is_aside(path.name) for path in home.photos.iterdir()):
                time.sleep(exchange.MAY_BE_RUNNING_S)  # a machine needs as long to start
            home.maclip("run", "--once", home.photos)
            assert home.sql("select rating_owner, count(*) from photos group by 1") == [("maclip", 120)], (
                number
            )
            assert home.sql("pragma integrity_check") == [("ok",)]
            assert all(path.stat().st_size for path in home.photos.glob("*.xmp"))
            home.maclip("db", "check", "--sidecars")
            home.maclip("undo")
            assert contents(home.photos) == before
    figures(rounds=rounds, files=160 * rounds, faults=rounds, note=f"{rounds} power cuts")
