"""The library database locked, damaged, of a newer version, restored, replaced or removed: waited for or
refused, never overwritten, and the way out works as it is printed.
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
PATIENCE_S = 900.0  # hundreds of photos of the long form beside other work
LOG_KEPT = 16 << 20  # bytes of the write-ahead log that stay on the disk
LOG_A_PHOTO = 200 << 10  # bytes; what finding, scoring and rating a photo adds to the log, with ample room

OTHER_PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.read()
"""


def until(condition: Callable[[], object], what: str) -> None:
    wait_until(condition, what, PATIENCE_S)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Iterator[Home]:
    """A home with a finished library; every test begins with a fresh copy of its data folder."""
    home = Home(tmp_path_factory.mktemp("kept"), checkpoint)
    make_photos(home.photos, PHOTOS)
    home.maclip("run", "--once", home.photos)
    shutil.copytree(home.data, home.folder / "pristine")
    shim = home.folder / "bin" / "maclip"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m maclip_daemon "$@"\n')
    shim.chmod(0o755)
    yield home
    home.kill_left_overs()


def reset(home: Home) -> Path:
    """Put the finished library back; its file."""
    shutil.rmtree(home.data)
    shutil.copytree(home.folder / "pristine", home.data)
    return home.data / "library.db"


@contextlib.contextmanager
def other_program(library: Path, *statements: str) -> Iterator[None]:
    """Another process that has carried out these statements, and stays as it is."""
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
        process.wait(PATIENCE_S)
        process.stdout.close()


def rated(home: Home) -> int:
    return len(list(home.photos.rglob("*.xmp")))


def is_done(home: Home, photos: int) -> bool:
    return len(home.scored()) == rated(home) == photos and home.is_at_rest()


def assert_sound(home: Home, photos: int) -> None:
    assert "no problem found" in home.maclip("db", "check").stdout
    assert home.sql("select count(*) from photo_quality where state = 'scored'") == [(photos,)]
    assert home.sql("select count(*) from photo_failures") == [(0,)]


def printed_commands(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def carry_out(home: Home, command: str) -> None:
    """Type a command as it was printed."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=home.environment | {"PATH": f"{home.folder / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_a_lock_of_another_program_is_waited_for_and_a_long_reader_bounds_the_log(
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
                until(lambda: "locked by another program" in home.maclip("status").stdout, "the reason")
                assert daemon.said().count("] paused ") == 1
            else:
                assert "paused" not in status + daemon.said()
        until(lambda: is_done(home, PHOTOS + 4), "the photos that came during the lock")
        assert "failed" not in daemon.said()
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
            daemon.process.wait(50)  # the lock is still held: a stop does not wait for it
            assert daemon.process.returncode == 0, daemon.said()
    home.maclip("run", "--once", home.photos)
    assert_sound(home, PHOTOS + 7 + arriving)
    figures(
        rounds=3, files=PHOTOS + 7 + arriving, faults=3, note=f"locked for {held_s:g} s; a reader for long"
    )


def overwrite_header(library: Path) -> None:
    with library.open("r+b") as file:
        file.write(os.urandom(100))


def overwrite_a_page(library: Path) -> None:
    """Of an index that no start needs: it must be noticed all the same, before anything is written."""
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


@pytest.mark.parametrize("damage", [overwrite_header, overwrite_a_page, cut_in_half, empty])
def test_a_damaged_library_is_refused_left_as_it_is_and_the_way_out_works_as_printed(
    kept: Home, damage: object, figures: Figures
) -> None:
    library = reset(kept)
    if damage is not cut_in_half:  # that one begins anew
        kept.maclip("db", "backup")
    assert callable(damage)
    damage(library)
    before = contents(kept.data)
    del before[kept.data / "daemon.notice"]
    refusals = [
        kept.maclip(*words, expect=3).stderr
        for words in (("run", kept.photos), ("run", "--once", kept.photos), ("db", "check"), ("db", "backup"))
    ]
    after = contents(kept.data)
    del after[kept.data / "daemon.notice"]
    assert after == before
    for refusal in refusals:
        assert str(library) in refusal
        assert "Traceback" not in refusal
        assert printed_commands(refusal) == printed_commands(refusals[0])
    carry_out(kept, printed_commands(refusals[0])[0])
    (aside,) = kept.data.glob("aside-*")
    assert (aside / "library.db").read_bytes() == before[library]
    kept.maclip("run", "--once", kept.photos)
    assert_sound(kept, PHOTOS)
    figures(rounds=1, files=PHOTOS, faults=1, note=str(damage.__name__).replace("_", " "))


def test_a_log_of_garbage_is_left_out_and_its_photos_are_found_again(kept: Home, figures: Figures) -> None:
    library = reset(kept)
    with running(kept) as daemon:
        make_photos(kept.photos, 2, first=50)
        until(lambda: is_done(kept, PHOTOS + 2), "two more photos")
        children = psutil.Process(daemon.process.pid).children(recursive=True)
        daemon.process.kill()
        daemon.process.wait()
        psutil.wait_procs(children, timeout=20)
    log = library.with_name("library.db-wal")
    assert log.stat().st_size > 0
    log.write_bytes(os.urandom(log.stat().st_size))
    kept.maclip("run", "--once", kept.photos)
    assert_sound(kept, PHOTOS + 2)
    for path in kept.photos.glob("IMG_005*"):
        path.unlink()
    figures(rounds=1, files=PHOTOS + 2, faults=1)


def test_a_library_of_a_newer_version_is_refused_without_copies_and_the_way_back_works(
    kept: Home, figures: Figures
) -> None:
    library = reset(kept)
    shutil.copyfile(library, library.with_name("library.db.before-20260101T000000Z"))
    with contextlib.closing(sqlite3.connect(library)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00d'")
        connection.commit()
    before = contents(kept.data)
    refusals = [kept.maclip(*words, expect=3).stderr for words in (("run", kept.photos), ("status",))]
    for refusal in refusals:
        assert "newer version" in refusal
        assert "Upgrade maclip-daemon" in refusal
        assert str(library) in refusal
    assert contents(kept.data).keys() - before.keys() == set()
    assert library.read_bytes() == before[library]
    assert "no problem found" in kept.maclip("db", "check").stdout  # it is whole, and can be kept
    kept.maclip("db", "backup", kept.folder / "newer.db")
    refused = kept.maclip("db", "restore", kept.folder / "newer.db", expect=3).stderr
    assert "Upgrade first" in refused
    assert library.read_bytes() == before[library]
    carry_out(kept, printed_commands(refusals[0])[0])
    kept.maclip("run", "--once", kept.photos)
    assert_sound(kept, PHOTOS)
    figures(rounds=1, files=PHOTOS, faults=1)


def test_a_backup_copied_over_a_library_that_was_killed_is_not_mixed_with_its_log(
    kept: Home, figures: Figures
) -> None:
    library = reset(kept)
    backup = kept.folder / "by-hand.db"
    backup.unlink(missing_ok=True)
    kept.maclip("db", "backup", backup)
    with running(kept) as daemon:
        until(lambda: library.with_name("library.db-wal").exists(), "the log")
        refused = kept.maclip("db", "restore", backup, expect=3).stderr
        assert "Stop it first" in refused
        until(lambda: kept.sql("select 1 from notes where key = 'daemon'"), "a transaction in the log")
        children = psutil.Process(daemon.process.pid).children(recursive=True)
        daemon.process.kill()
        daemon.process.wait()
        psutil.wait_procs(children, timeout=20)
    shutil.copyfile(backup, library)
    before = contents(kept.data)
    for words in (("run", kept.photos), ("status",), ("db", "check")):
        refusal = kept.maclip(*words, expect=3).stderr
        assert "another library" in refusal
        assert contents(kept.data) == before | {kept.data / "daemon.notice": b" " * 4096}
    carry_out(kept, printed_commands(refusal)[0])
    kept.maclip("run", "--once", kept.photos)
    assert_sound(kept, PHOTOS)
    figures(rounds=1, files=PHOTOS, faults=1, note="a backup beside a foreign log")


def replace(library: Path, backup: Path) -> None:
    shutil.copyfile(backup, library.with_name("incoming"))
    library.with_name("incoming").replace(library)


def overwrite(library: Path, backup: Path) -> None:
    shutil.copyfile(backup, library)


def remove(library: Path, backup: Path) -> None:
    for path in library.parent.glob("library.db*"):
        if not path.name.endswith(".closed"):
            path.unlink()


@pytest.mark.parametrize("change", [replace, overwrite, remove])
def test_a_library_changed_under_a_running_daemon_is_not_written_any_more(
    kept: Home, change: object, figures: Figures
) -> None:
    library = reset(kept)
    backup = kept.folder / "earlier.db"
    backup.unlink(missing_ok=True)
    kept.maclip("db", "backup", backup)
    late = kept.photos / "late.jpg"
    with running(kept) as daemon:
        until(lambda: kept.sql("select 1 from notes where key = 'daemon'"), "the daemon at work")
        assert callable(change)
        change(library, backup)
        make_photo(late, 70)
        assert daemon.process.wait(300) == 3, daemon.said()
    said = daemon.said().splitlines()[-1]
    assert str(library) in said
    assert "nothing more is written" in said
    assert "Traceback" not in said
    if change is not remove:
        assert library.read_bytes() == backup.read_bytes()  # what the person put there is as it was
    if change is not overwrite:
        (restore, *_) = printed_commands(said)
        assert "rescued" in restore
        carry_out(kept, restore)
    kept.maclip("run", "--once", kept.photos)
    assert_sound(kept, PHOTOS + 1)
    late.unlink()
    late.with_name("late.jpg.xmp").unlink()
    figures(rounds=1, files=PHOTOS + 1, faults=1, note=f"{change.__name__} under the daemon")
