"""`maclip db check --sidecars` names whatever library, journal, sidecars and photos disagree about."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.faults.test_roots import stopped
from tests.homes import Home, contents, make_photo, make_photos, until

COMMAND = re.compile(r"`([^`]+)`")


def sidecar(photo: Path) -> Path:
    return photo.with_name(f"{photo.name}.xmp")


def report(home: Home, *, expect: int) -> list[dict[str, str]]:
    """Return the disagreements that the check names."""
    checked = home.maclip("db", "check", "--sidecars", "--json", expect=expect)
    named: list[dict[str, str]] = json.loads(checked.stdout)["disagreements"]
    assert all(each["path"] in each["what"] for each in named), named
    return named


def kinds_by_name(named: list[dict[str, str]]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for each in named:
        kinds.setdefault(Path(each["path"]).name, set()).add(each["kind"])
    return kinds


def mend(home: Home, named: list[dict[str, str]]) -> None:
    """Type every command that the check prints, each once."""
    commands = [command for each in named for command in COMMAND.findall(each["mend"])]
    for command in sorted(dict.fromkeys(commands), key=lambda command: "--once" in command):
        program, *arguments = shlex.split(command)
        if program == "maclip":
            home.maclip(*arguments, *(["--yes"] if arguments[0] == "purge" else []))
        elif program == "rm":
            Path(arguments[0]).unlink(missing_ok=True)  # a run may have removed it
        else:
            assert program == "touch"
            os.utime(arguments[0])


def swap_keeping_size_and_time(photo: Path) -> None:
    """Put another picture into a photo, as `cp -p` over it may."""
    before = photo.stat()
    make_photo(photo, 77, (320, 240), blur=4)
    assert photo.stat().st_size < before.st_size
    photo.write_bytes(photo.read_bytes().ljust(before.st_size, b"\0"))
    os.utime(photo, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_each_disagreement_is_named_with_the_command_that_mends_it(home: Home, figures: Figures) -> None:
    photos = make_photos(home.photos, 13)
    home.maclip("run", "--once", home.photos)
    whole = contents(home.folder)
    assert report(home, expect=0) == []
    assert contents(home.folder) == whole, "the check has changed something"

    expected: dict[str, set[str]] = {}
    photos[0].unlink()
    expected[photos[0].name] = {"gone"}
    make_photo(photos[1], 50)
    expected[photos[1].name] = {"changed"}
    swap_keeping_size_and_time(photos[2])
    text = sidecar(photos[3]).read_text("utf-8")
    sidecar(photos[3]).write_text(re.sub(r'(xmp:Rating(?:="|>))\d', r"\g<1>5", text), "utf-8")
    stars = {path.name: rating for path, rating in rated(home).items()}
    assert stars[photos[3].name] != 5
    expected[photos[3].name] = {"rating"}
    sidecar(photos[4]).unlink()
    expected[photos[4].name] = {"rating"}
    text = sidecar(photos[5]).read_text("utf-8")
    sidecar(photos[5]).write_text(re.sub(r'(maclip:Score(?:="|>))[-\d.]+', r"\g<1>0.123456", text), "utf-8")
    expected[photos[5].name] = {"score"}
    sidecar(photos[6]).write_bytes(sidecar(photos[7]).read_bytes())
    same = stars[photos[6].name] == stars[photos[7].name]
    expected[photos[6].name] = {"another picture" if same else "rating"}
    with sqlite3.connect(home.data / "library.db") as connection:
        connection.execute(
            "update rating_journal set state = 'intended' where target_path = ?", (str(sidecar(photos[7])),)
        )
    connection.close()
    expected[sidecar(photos[7]).name] = {"unconfirmed"}
    sidecar(photos[8]).write_bytes(b"no XMP")
    expected[sidecar(photos[8]).name] = {"undo"}
    sidecar(photos[11]).unlink()
    os.mkfifo(sidecar(photos[11]))
    sidecar(photos[12]).unlink()
    sidecar(photos[12]).mkdir()
    expected |= {sidecar(photos[number]).name: {"undo"} for number in (11, 12)}
    with sidecar(photos[9]).open("ab") as file:
        file.write(b"\n")  # nothing that anybody could miss
    (home.photos / ".maclip-0123456789abcdef.tmp").touch()
    expected[".maclip-0123456789abcdef.tmp"] = {"temporary"}
    (home.photos / "Lost.jpg.xmp").write_bytes(sidecar(photos[10]).read_bytes())
    expected["Lost.jpg.xmp"] = {"orphan"}

    before = contents(home.folder)
    named = report(home, expect=1)
    seen = kinds_by_name(named)
    assert seen.pop(photos[2].name) in ({"pixels"}, {"changed"})
    assert seen == expected
    assert contents(home.folder) == before, "the check has changed something"

    for photo in (photos[8], photos[11]):  # "or move it away"
        sidecar(photo).unlink()
    sidecar(photos[12]).rmdir()
    mend(home, named)
    named = report(home, expect=1)  # the sidecar of the photo that was deleted
    assert kinds_by_name(named) == {sidecar(photos[0]).name: {"orphan"}}
    mend(home, named)
    assert report(home, expect=0) == []
    assert len(home.scored()) == 12
    kinds = Counter(kind for each in expected.values() for kind in each)
    figures(
        rounds=1, files=len(photos), faults=sum(kinds.values()), note=f"{len(kinds)} kinds of disagreement"
    )


def rated(home: Home) -> dict[Path, int]:
    return {Path(path): rating for path, rating in home.sql("select path, rating_in_file from photo_quality")}


def test_beside_a_daemon_at_work_the_check_raises_no_false_alarm(home: Home, figures: Figures) -> None:
    photos = make_photos(home.photos, 6)
    with running(home) as daemon:
        until(lambda: len(home.scored()) == 6 and home.is_at_rest(), "six photos")
        with stopped(daemon.process.pid):  # until the check has seen what the daemon has not
            make_photo(photos[0], 60)
            photos[1].unlink()
            sidecar(photos[1]).unlink()
            sidecar(photos[2]).unlink()
            checking = subprocess.Popen(
                [sys.executable, "-m", "maclip_daemon", "db", "check", "--sidecars"],
                env=home.environment,
                stdout=subprocess.PIPE,
                text=True,
            )
            until(lambda: reads_metadata(checking.pid), "the first look")
        printed, _ = checking.communicate()
        assert (checking.returncode, "no problem found" in printed) == (0, True), printed
        daemon.stop()
    figures(rounds=1, files=6, faults=3, note="a check beside a daemon at work")


def reads_metadata(pid: int) -> bool:
    """Return whether a process has a metadata process: then it has read the library."""
    with contextlib.suppress(psutil.Error):
        children = psutil.Process(pid).children()
        return any("metadata_process" in " ".join(child.cmdline()) for child in children)
    return False


@pytest.mark.long_form
def test_an_offline_folder_is_named_and_its_files_are_not(home: Home, figures: Figures) -> None:
    make_photos(home.photos, 5)
    home.maclip("run", "--once", home.photos)
    home.photos.rename(home.folder / "away")
    checked = home.maclip("db", "check", "--sidecars")
    assert "Compared 0 photos" in checked.stdout
    assert f"not compared: The folder {home.photos} is gone" in checked.stderr
    figures(rounds=1, files=5, faults=1)
