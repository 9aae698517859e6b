"""The database locked, damaged, of a newer version, restored, replaced or removed: the daemon waits or
refuses, never overwrites, and the printed commands repair it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.homes import Home, contents, make_photo, make_photos
from tests.homes import until as wait_until

PHOTOS = 6
TIMEOUT_S = 900.0  # hundreds of photos of the long form beside other work
LOG_KEPT = 16 << 20  # bytes of the write-ahead log that may remain
LOG_A_PHOTO = 200 << 10  # bytes; upper bound for what one photo adds to the log

OTHER_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, TIMEOUT_S)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Home]:
    """Yield a home with a finished library; every test starts with a fresh copy of its data folder."""
    home = Home(tmp_path_factory.mktemp("kept"), checkpoint)
    make_photos(home.photos, PHOTOS)
    home.maclip("run", "--once", home.photos)
    shutil.copytree(home.data, home.folder / "pristine")
    shim = home.folder / "bin" / "maclip"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m maclip_daemon "$@"\n')
    shim.chmod(0o755)
    yield home
    home.kill_daemons()


def reset(home: Home) -> Path:
    """Restore the finished library; return its file."""
    shutil.rmtree(home.data)
    shutil.copytree(home.folder / "pristine", home.data)
    return home.data / "library.db"


@contextlib.contextmanager
def other_program(library: Path, *statements: str) -> Iterator[None]:
    """Run these statements in another process, and keep it and its transaction open."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROGRAM, str(library), *statements],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(TIMEOUT_S)
        process.stdout.close()


def rated(home: Home) -> int:
    return len(list(home.photos.rglob("*.xmp")))


def is_done(home: Home, photos: int) -> bool:
    return len(home.scored()) == rated(home) == photos and home.is_at_rest()


def assert_healthy(home: Home, photos: int) -> None:
    assert "no problem found" in home.maclip("db", "check").stdout
    assert home.sql("select count(*) from photo_quality where state = 'scored'") == [(photos,)]
    assert home.sql("select count(*) from photo_failures") == [(0,)]


def printed_commands(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def run_printed(home: Home, command: str) -> None:
    """Run a command as it was printed."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=home.environment | {"PATH": f"{home.folder / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_the_daemon_waits_for_a_lock_and_a_long_reader_leaves_a_bounded_log(
    home: Home, full: bool, figures: Figures
) -> None:
    held_s, arriving = (75.0, 200) if full else (6.0, 6)
    make_photos(home.photos, PHOTOS)
    library = home.data / "library.db"
    with running(home, MACLIP_JOBS__PAUSE_S="1") as daemon:
        until(lambda: is_done(home, PHOTOS), "the first photos")
        with other_program(library, "BEGIN EXCLUSIVE", "UPDATE notes SET value = value"):
            make_photos(home.photos, 4, first=20)
            time.sleep(held_s)
            assert len(home.scored()) == PHOTOS
            status = home.maclip("status").stdout
            if full:
                until(
                    lambda: "locked by another program" in home.maclip("status").stdout,
                    "the reason",
                )
                assert daemon.log_text().count("] paused ") == 1
            else:
                assert "paused" not in status + daemon.log_text()
        until(lambda: is_done(home, PHOTOS + 4), "the photos that came during the lock")
        assert "failed" not in daemon.log_text()
        with other_program(library, "BEGIN", "SELECT count(*) FROM photos"):
            make_photos(home.photos, arriving, first=40)
            until(lambda: is_done(home, PHOTOS + 4 + arriving), "the photos beside the reader")
            log = library.with_name("library.db-wal").stat().st_size
            assert log < arriving * LOG_A_PHOTO + LOG_KEPT
        make_photos(home.photos, 2, first=900)
        until(lambda: is_done(home, PHOTOS + 6 + arriving), "the photos after the reader")
        assert library.with_name("library.db-wal").stat().st_size <= LOG_KEPT
        with other_program(library, "BEGIN EXCLUSIVE"):
            make_photo(home.photos / "last.jpg", 990)
            time.sleep(1)
            daemon.process.terminate()
            daemon.process.wait(50)  # the lock is still held, and the stop does not wait
            assert daemon.process.returncode == 0, daemon.log_text()
    home.maclip("run", "--once", home.photos)
    assert_healthy(home, PHOTOS + 7 + arriving)
    figures(rounds=3, files=PHOTOS + 7 + arriving, faults=3, note=f"locked for {held_s:g} s; a long reader")


def overwrite_header(library: Path) -> None:
    with library.open("r+b") as file:
        file.write(os.urandom(100))


def overwrite_a_page(library: Path) -> None:
    """Overwrite a page of an index that the start does not read; it must be noticed before any write."""
    with contextlib.closing(sqlite3.connect(library)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'photos_pixel_hash'"
        ((page,),) = connection.execute(query).fetchall()
    with library.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(os.urandom(4096))


def cut_in_half(library: Path) -> None:
    os.truncate(library, library.stat().st_size // 2)


def empty(library: Path) -> None:
    os.truncate(library, 0)


def data_of(home: Home) -> dict[Path, bytes]:
    """Return the files of the data folder, without those in which the daemon says how it fares."""
    told = {home.data / f"daemon.{name}" for name in ("notice", "stopped", "crash")}
    return {path: data for path, data in contents(home.data).items() if path not in told}


@pytest.mark.long_form("overwrite_a_page", "cut_in_half", "empty")
@pytest.mark.parametrize("damage", [overwrite_header, overwrite_a_page, cut_in_half, empty])
def test_a_damaged_library_is_refused_unchanged_and_the_printed_repair_works(
    finished: Home, damage: object, figures: Figures
) -> None:
    library = reset(finished)
    if damage is not cut_in_half:  # its printed command starts a new library
        finished.maclip("db", "backup")
    assert callable(damage)
    damage(library)
    before = data_of(finished)
    refusals = [
        finished.maclip(*words, expect=3).stderr
        for words in (
            ("run", finished.photos),
            ("run", "--once", finished.photos),
            ("db", "check"),
            ("db", "backup"),
        )
    ]
    after = data_of(finished)
    assert after == before
    for refusal in refusals:
        assert str(library) in refusal
        assert "Traceback" not in refusal
        assert printed_commands(refusal) == printed_commands(refusals[0])
    run_printed(finished, printed_commands(refusals[0])[0])
    (aside,) = finished.data.glob("aside-*")
    assert (aside / "library.db").read_bytes() == before[library]
    finished.maclip("run", "--once", finished.photos)
    assert_healthy(finished, PHOTOS)
    figures(rounds=1, files=PHOTOS, faults=1, note=str(damage.__name__).replace("_", " "))


@pytest.mark.long_form
def test_a_log_of_garbage_is_ignored_and_its_photos_are_found_again(finished: Home, figures: Figures) -> None:
    library = reset(finished)
    with running(finished) as daemon:
        make_photos(finished.photos, 2, first=50)
        until(lambda: is_done(finished, PHOTOS + 2), "two more photos")
        children = psutil.Process(daemon.process.pid).children(recursive=True)
        daemon.process.kill()
        daemon.process.wait()
        psutil.wait_procs(children, timeout=20)
    log = library.with_name("library.db-wal")
    assert log.stat().st_size > 0
    log.write_bytes(os.urandom(log.stat().st_size))
    finished.maclip("run", "--once", finished.photos)
    assert_healthy(finished, PHOTOS + 2)
    for path in finished.photos.glob("IMG_005*"):
        path.unlink()
    figures(rounds=1, files=PHOTOS + 2, faults=1)


def test_a_library_of_a_newer_version_is_refused_without_copies_and_the_printed_command_works(
    finished: Home, figures: Figures
) -> None:
    library = reset(finished)
    shutil.copyfile(library, library.with_name("library.db.before-20260101T000000Z"))
    with contextlib.closing(sqlite3.connect(library)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00d'")
        connection.commit()
    before = data_of(finished)
    refusals = [finished.maclip(*words, expect=3).stderr for words in (("run", finished.photos), ("status",))]
    for refusal in refusals:
        assert "newer version" in refusal
        assert "Upgrade maclip-daemon" in refusal
        assert str(library) in refusal
    assert data_of(finished).keys() - before.keys() == set()
    assert library.read_bytes() == before[library]
    assert "no problem found" in finished.maclip("db", "check").stdout  # the newer library is intact
    finished.maclip("db", "backup", finished.folder / "newer.db")
    refused = finished.maclip("db", "restore", finished.folder / "newer.db", expect=3).stderr
    assert "Upgrade first" in refused
    assert library.read_bytes() == before[library]
    run_printed(finished, printed_commands(refusals[0])[0])
    finished.maclip("run", "--once", finished.photos)
    assert_healthy(finished, PHOTOS)
    figures(rounds=1, files=PHOTOS, faults=1)


def test_a_backup_copied_over_a_library_that_was_killed_is_not_mixed_with_its_log(
    finished: Home, figures: Figures
) -> None:
    library = reset(finished)
    backup = finished.folder / "by-hand.db"
    backup.unlink(missing_ok=True)
    finished.maclip("db", "backup", backup)
    with running(finished) as daemon:
        until(lambda: library.with_name("library.db-wal").exists(), "the log")
        refused = finished.maclip("db", "restore", backup, expect=3).stderr
        assert "stop it first" in refused
        until(lambda: finished.sql("select 1 from notes where key = 'daemon'"), "a transaction in the log")
        children = psutil.Process(daemon.process.pid).children(recursive=True)
        daemon.process.kill()
        daemon.process.wait()
        psutil.wait_procs(children, timeout=20)
    shutil.copyfile(backup, library)
    before = data_of(finished)
    for words in (("run", finished.photos), ("status",), ("db", "check")):
        refusal = finished.maclip(*words, expect=3).stderr
        assert "another library" in refusal
        assert data_of(finished) == before
    run_printed(finished, printed_commands(refusal)[0])
    finished.maclip("run", "--once", finished.photos)
    assert_healthy(finished, PHOTOS)
    figures(rounds=1, files=PHOTOS, faults=1, note="a backup beside another library's log")


def replace(library: Path, backup: Path) -> None:
    shutil.copyfile(backup, library.with_name("incoming"))
    library.with_name("incoming").replace(library)


def overwrite(library: Path, backup: Path) -> None:
    shutil.copyfile(backup, library)


def remove(library: Path, backup: Path) -> None:
    for path in library.parent.glob("library.db*"):
        if not path.name.endswith(".closed"):
            path.unlink()


@pytest.mark.long_form("replace", "overwrite")
@pytest.mark.parametrize("change", [replace, overwrite, remove])
def test_a_library_changed_under_a_running_daemon_is_not_written_again(
    finished: Home, change: object, figures: Figures
) -> None:
    library = reset(finished)
    backup = finished.folder / "earlier.db"
    backup.unlink(missing_ok=True)
    finished.maclip("db", "backup", backup)
    late = finished.photos / "late.jpg"
    with running(finished) as daemon:
        until(lambda: finished.sql("select 1 from notes where key = 'daemon'"), "the daemon at work")
        assert callable(change)
        change(library, backup)
        make_photo(late, 70)
        assert daemon.process.wait(300) == 3, daemon.log_text()
    log = daemon.log_text().splitlines()[-1]
    assert str(library) in log
    assert "nothing more is written" in log
    assert "Traceback" not in log
    if change is not remove:
        assert library.read_bytes() == backup.read_bytes()  # the person's file is unchanged
    if change is not overwrite:
        (restore, *_) = printed_commands(log)
        assert "rescued" in restore
        run_printed(finished, restore)
    finished.maclip("run", "--once", finished.photos)
    assert_healthy(finished, PHOTOS + 1)
    late.unlink()
    late.with_name("late.jpg.xmp").unlink()
    figures(rounds=1, files=PHOTOS + 1, faults=1, note=f"{change.__name__} under the daemon")
