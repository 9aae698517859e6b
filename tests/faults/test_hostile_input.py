"""Hostile input: none of its code runs, no file outside the roots is opened, and it is reported."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import blake3
import pytest

from tests.faults import damaged_metadata
from tests.faults.access_monitor import assert_untouched
from tests.faults.conftest import Figures
from tests.faults.hostile_files import ENTITY, LAUGHS, MARK, NAMES, SECRET, hostile_checkpoints
from tests.faults.logged_daemon import running
from tests.homes import Home, contents, make_photo, make_photos, until


def holds_secret(*folders: Path) -> list[Path]:
    return [path for folder in folders for path, data in contents(folder).items() if SECRET in data]


def is_printable(text: str) -> bool:
    """Return whether the text holds no control characters for a terminal."""
    return all(character.isprintable() or character == "\n" for character in text)


def test_hostile_names_are_never_interpreted(home: Home, full: bool, figures: Figures) -> None:
    for seed, name in enumerate(NAMES):
        make_photo(home.photos / "other.jpg", seed).rename(home.photos / name)
    (home.photos / "bad [red]\x1b[31m.jpg").write_bytes(b"\xff\xd8\xff no photo")
    before = contents(home.photos)
    with running(home) as daemon:
        until(lambda: len(list(home.photos.glob("*.xmp"))) == len(NAMES), "every photo rated")
        until(lambda: home.sql("select 1 from photos where state = 'failed'"), "the bad photo to fail")
        log = daemon.stop()
    assert is_printable(log), log
    assert [line for line in log.splitlines() if line.startswith("2026-01-01")] == []
    assert set(home.scored()) == set(NAMES)
    assert {path: data for path, data in contents(home.photos).items() if path in before} == before
    for name in NAMES if full else ("-rf.jpg", "~.jpg", NAMES[11]):
        shown = home.maclip("show", home.photos / name).stdout
        assert is_printable(shown)
        with contextlib.chdir(home.photos):
            assert home.maclip("show", "--", name).stdout == shown
    for command in (["worst"], ["status"], ["stats"]) if full else (["status"],):
        assert is_printable(home.maclip(*command).stdout)
    assert "[red]x.jpg" in home.maclip("worst", "-n", "99").stdout
    failed = home.maclip("run", "--once", home.photos, expect=None)
    assert is_printable(failed.stdout + failed.stderr)
    with contextlib.chdir(home.photos):
        undone = home.maclip("undo", "--", "-rf.jpg", "--help.jpg")
    assert is_printable(undone.stdout)
    assert not (home.photos / "-rf.jpg.xmp").exists()
    assert not list(home.folder.rglob(MARK))
    figures(rounds=1, files=len(NAMES) + 1, faults=len(NAMES) + 1, note="names")


@pytest.mark.long_form
def test_hostile_sidecars_and_links_are_left_alone(home: Home, figures: Figures) -> None:
    outside = home.folder / "outside"
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_bytes(SECRET)
    (outside / "theirs.xmp").write_bytes(damaged_metadata.PACKET)
    make_photo(outside / "private.jpg", 90)
    make_photo(outside / "folder" / "private.jpg", 91)
    make_photos(home.photos, 12)
    entity = ENTITY % os.fsencode(secret)
    for number, sidecar in enumerate((LAUGHS, entity, LAUGHS.decode().encode("utf-16"))):
        (home.photos / f"IMG_{number:04}.jpg.xmp").write_bytes(sidecar)
    (home.photos / "IMG_0003.jpg.xmp").symlink_to(outside / "theirs.xmp")
    (home.photos / "IMG_0004.xmp").symlink_to(outside / "not-there.xmp")
    (home.photos / "IMG_0005.xmp").mkdir()
    os.mkfifo(home.photos / "IMG_0006.jpg.xmp")
    (home.photos / "IMG_0007.jpg.xmp").symlink_to("IMG_0007.jpg.xmp")
    (home.photos / "link.jpg").symlink_to(outside / "private.jpg")
    (home.photos / "linked").symlink_to(outside / "folder")
    for number, packet in enumerate((LAUGHS, entity)):
        chunk = damaged_metadata.png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)
        (home.photos / f"embedded_{number}.png").write_bytes(
            damaged_metadata.png_with(chunk, seed=70 + number)
        )
    before = contents(home.photos)
    names = {f"IMG_{number:04}.jpg" for number in range(12)} | {"embedded_0.png", "embedded_1.png"}
    settled = (
        "select count(*) from photos"
        " where state = 'scored' and (rating_owner <> 'none' or rating_problem is not null)"
    )
    with assert_untouched(outside), running(home) as daemon:
        until(lambda: home.sql(settled) == [(len(names),)], "every photo scored, and rated or not")
        log = daemon.stop()
    assert set(home.scored()) == names
    assert "unexpected error" not in log, log
    problems = dict(home.sql("select file_name, rating_problem from photos where rating_problem is not null"))
    assert set(problems) == {f"IMG_{number:04}.jpg" for number in range(8)}
    for name, reason in problems.items():
        assert name.removesuffix(".jpg") in reason
    for number in range(3):  # refused before exiv2 reads them
        assert "declares a document type" in problems[f"IMG_{number:04}.jpg"], problems
    after = contents(home.photos)
    assert {path: data for path, data in after.items() if path in before} == before
    assert (home.photos / "IMG_0003.jpg.xmp").is_symlink()
    assert holds_secret(home.photos, home.data) == []
    figures(rounds=1, files=len(names) + 2, faults=12, note="sidecars, links, entities")


def test_new_links_are_not_followed_and_a_forged_journal_is_not_trusted(
    home: Home, full: bool, figures: Figures
) -> None:
    for year, first in (("2024", 0), ("2025", 6), ("2026", 12)):
        make_photos(home.photos / year, 6, first)
    home.maclip("run", "--once", home.photos, "--mode", "off")
    outside = home.folder / "outside"
    outside.mkdir()
    shutil.copytree(home.photos / "2026", outside / "2026")
    (home.photos / "2026").rename(home.folder / "gone")
    (home.photos / "2026").symlink_to(outside / "2026")
    # A known photo that became a link: nothing is read through it either.
    linked = home.photos / "2025" / "IMG_0006.jpg"
    linked.rename(home.folder / "gone" / "IMG_0006.jpg")
    linked.symlink_to(outside / "2026" / "IMG_0012.jpg")
    with assert_untouched(outside):
        home.maclip("rate", expect=None, MACLIP_JOBS__MAX_ATTEMPTS="1")
    assert len(list((home.photos / "2025").glob("*.xmp"))) == 5
    assert len(list((home.photos / "2024").glob("*.xmp"))) == 6

    precious = home.folder / ".bashrc"
    precious.write_bytes(b"alias ls='ls --color'\n")
    forged = blake3.blake3(precious.read_bytes()).hexdigest()
    change(
        home,
        f"update rating_journal set target_path = '{precious}', after_hash = '{forged}', before_hash = null"
        " where target_path like '%/2024/%'",
    )
    (home.photos / "2025").rename(outside / "2025")
    (home.photos / "2025").symlink_to(outside / "2025")
    with assert_untouched(outside):
        home.maclip("undo", expect=None)
    assert precious.read_bytes() == b"alias ls='ls --color'\n"
    figures(rounds=1, files=18, faults=14, note="folders and photos that became links, a forged journal")


def change(home: Home, statement: str) -> None:
    """Change the database directly, without the program."""
    connection = sqlite3.connect(home.data / "library.db")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_no_code_in_a_checkpoint_runs(home: Home, full: bool, figures: Figures) -> None:
    make_photos(home.photos, 1)
    mark = home.folder / MARK
    checkpoints = list(hostile_checkpoints(home.folder, mark))
    for checkpoint in checkpoints if full else checkpoints[1:3]:
        ways = [("run", "--once", home.photos, "--model", f"file:{checkpoint}")]
        if full:
            ways += [
                ("models", "import", checkpoint),
                ("score", home.photos, "--model", f"file:{checkpoint}"),
            ]
        for words in ways:
            refused = home.maclip(*words, expect=3)
            assert checkpoint.name in refused.stderr
            assert "Traceback" not in refused.stderr
            assert not mark.exists(), f"{words} ran code of {checkpoint.name}"
    assert home.sql("select count(*), max(attempts) from jobs") == [(1, 0)]
    figures(rounds=1, files=len(checkpoints), faults=len(checkpoints), note="checkpoints")


@pytest.mark.long_form
def test_files_that_others_may_write_are_refused_with_the_chmod_that_fixes_it(
    home: Home, figures: Figures
) -> None:
    configuration = home.folder / "config.toml"
    configuration.write_text("[rating]\nmode = 'off'\n")
    given = ("--config", configuration)
    home.maclip(*given, "run", "--once", home.photos)
    library = home.data / "library.db"
    shared = [(configuration, 0o666), (home.data, 0o777), (library, 0o602)]
    shared += [(home.data, 0o1777), (configuration, 0o4606), (library, 0o666)]
    for path, mode in shared:
        path.chmod(mode)
        commands = [("run", home.photos), ("run", "--once", home.photos), ("score", home.photos)]
        for command in (*commands, ("undo",), ("worst",)):
            refused = home.maclip(*given, *command, expect=3)
            assert len(refused.stderr.splitlines()) == 1
            assert f"{path} may be changed by everybody" in refused.stderr
        cure = refused.stderr.split("`")[1]
        subprocess.run(shlex.split(cure), check=True)
    home.maclip(*given, "status")
    figures(rounds=1, files=3, faults=len(shared), note="permissions")


def test_a_running_daemon_rejects_a_configuration_that_others_may_write(
    home: Home, full: bool, figures: Figures
) -> None:
    configuration = home.folder / ".config" / "maclip" / "config.toml"
    configuration.parent.mkdir(parents=True)
    configuration.write_text("[rating]\nmode = 'off'\n")
    with running(home) as daemon:
        until(lambda: "watching" in daemon.log_text(), "the daemon")
        configuration.chmod(0o666)
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration rejected" in daemon.log_text(), "the refusal")
        assert "chmod go-w" in daemon.log_text()
        assert "configuration reloaded" not in daemon.log_text()
        configuration.chmod(0o600)
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration reloaded" in daemon.log_text(), "the fixed configuration")
        daemon.stop()
    figures(rounds=1, files=1, faults=1, note="a configuration shared while running")


@pytest.mark.long_form
def test_foreign_sql_in_the_library_never_runs(home: Home, figures: Figures) -> None:
    home.maclip("run", "--once", home.photos)
    precious = home.folder / "precious"
    precious.mkdir()
    make_photo(precious / "IMG_0000.jpg")
    change(home, "create view mine as select load_extension('/tmp/x.so'), * from photos")
    make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)  # a view is harmless
    change(
        home,
        'create trigger "a \'b" after insert on photos begin'
        f" update folders set path = '{precious}'; delete from scores; end",
    )
    scored = home.scored()
    assert len(scored) == 6
    make_photos(home.photos, 1, first=6)
    commands = [("run", "--once", home.photos), ("run", home.photos)]
    for command in (*commands, ("undo",), ("rate",), ("worst",), ("status",)):
        refused = home.maclip(*command, expect=3).stderr
        assert "trigger" in refused
        assert "a 'b" in refused
    assert home.scored() == scored
    assert list(precious.glob("*.xmp")) == []
    change(home, 'drop trigger "a \'b"')
    home.maclip("run", "--once", home.photos, "--mode", "off")
    assert len(home.scored()) == 7
    home.maclip("status")
    figures(rounds=1, files=8, faults=2, note="SQL in the library")
