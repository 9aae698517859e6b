"""Strange names and special files: nothing hangs or crashes, and every name is unchanged."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import mounts
from tests.faults.conftest import Figures
from tests.homes import Home, contents, make_photo, until

RATING = re.compile(rb'xmp:Rating="(\d)"')
NAMES = (
    b"plain.jpg",
    b"new\nline.jpg",
    b"\n.jpg",
    b"carriage\rreturn.jpg",
    b"tab\tulator.jpg",
    b"\x01\x02\x1b[31m\x07\x7f.jpg",
    b"escape\x1b]0;title\x07.jpg",
    b"latin-1 \xe9t\xe9.jpg",
    b"\xff\xfe.jpg",
    b"cut off \xe2\x82.jpg",
    b"surrogate \xed\xb3\xbf.jpg",  # invalid in UTF-8; Python's surrogateescape could mistake it for a byte
    "composed é.jpg".encode(),
    "decomposed e\u0301.jpg".encode(),
    "right \u202egpj.jpg".encode(),
    "\ufeffmark.jpg".encode(),
    b"-rf.jpg",
    b"--format.jpg",
    b"%s %n {0} $(true) `true`.jpg",
    b"quote'\".jpg",
    b" space .jpg",
    b"back\\slash.jpg",
    b"file:%2e%2e.jpg",
    b"UPPER.JPG",
    b"pair\xff.jpg",
    b"pair\xff_01.jpg",  # darktable would take its sidecar for a duplicate of the one above
    b"n" * 247 + b".jpg",  # its sidecar's name has 255 bytes, the maximum
    b"n" * 248 + b".jpg",
    b"n" * 251 + b".jpg",
    b"\xff" * 251 + b".jpg",
    "ø".encode() * 125 + b".jpg",
    b"in \xff\nfolder/plain.jpg",
    b"d" * 255 + b"/plain.jpg",
)
UNRATED = {name for name in NAMES if len(name.rpartition(b"/")[2]) > 251} | {b"pair\xff_01.jpg"}


def test_every_name_is_unchanged_in_the_database_the_sidecar_and_the_output(
    home: Home, full: bool, figures: Figures
) -> None:
    root = home.photos / os.fsdecode(b"r\xff\no\x1bt")
    photos = {os.fsencode(root / os.fsdecode(name)): name for name in NAMES}
    for number, path in enumerate(photos):
        Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
        make_photo(home.folder / "drawn.jpg", number, (260, 240)).rename(os.fsdecode(path))
    before = contents(home.photos)
    daemon = home.daemon(root)
    until(lambda: len(stored(home)) == len(photos), "every photo scored")
    until(lambda: rated(home) == len(photos) - len(UNRATED), "every photo rated")
    until(home.is_at_rest, "rest")

    assert stored(home).keys() == photos.keys()
    rows = home.sql("select path, stars from photo_quality")
    stars = {path if isinstance(path, bytes) else path.encode(): count for path, count in rows}
    sidecars = {os.fsencode(path): data for path, data in contents(home.photos).items() if path not in before}
    assert sidecars.keys() == {path + b".xmp" for path, name in photos.items() if name not in UNRATED}
    for sidecar, data in sidecars.items():
        assert RATING.findall(data) == [b"%d" % stars[sidecar.removesuffix(b".xmp")]], sidecar

    by_score = sorted(photos, key=lambda path: stored(home)[path])
    listed = subprocess.run(
        [sys.executable, "-m", "maclip_daemon", "worst", "-n", "1000", "--format", "paths0"],
        env=home.environment,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert listed.split(b"\0") == [*by_score, b""]
    lines = home.maclip("worst", "-n", "1000", "--format", "json").stdout.splitlines()
    assert [os.fsencode(json.loads(line)["path"]) for line in lines] == by_score
    assert len(home.maclip("worst", "-n", "1000").stdout.splitlines()) == 1 + len(photos)
    shown = (
        list(photos)
        if full
        else [path for path, name in photos.items() if name in (NAMES[5], NAMES[27], NAMES[30])]
    )
    for path in shown:
        assert home.json("show", os.fsdecode(path), "--json")["path"] == os.fsdecode(path)
    status = home.maclip("status").stdout
    assert status.count("\nunrated ") == len(UNRATED)
    log = home.stop(daemon)
    for text in (status, log, home.maclip("worst", "-n", "1000").stdout):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", text), repr(text)
    lines = log.splitlines()
    assert lines
    assert all(re.match(r"\d{4}-\d\d-\d\dT", line) for line in lines), log

    for path in shown:
        home.maclip("undo", os.fsdecode(path))
        assert not os.path.lexists(path + b".xmp")
    home.maclip("undo")
    assert contents(home.photos) == before
    figures(rounds=1, files=len(photos), faults=len(photos), note=f"{len(photos)} names")


def stored(home: Home) -> dict[bytes, float]:
    """Return scores by the bytes of the path, stored as text where it is UTF-8, else as a BLOB."""
    rows = home.sql("select path, score from photo_quality where state = 'scored'")
    return {path if isinstance(path, bytes) else path.encode(): score for path, score in rows}


def rated(home: Home) -> int:
    (found,) = home.sql("select count(*) from photos where rating_owner = 'maclip'")
    return int(found[0])


@pytest.fixture
def elsewhere(home: Home) -> Path:
    """Return a folder outside the root, with photos and a sidecar."""
    folder = home.folder / "Elsewhere"
    make_photo(folder / "private.jpg", 900)
    make_photo(folder / "deep" / "private.jpg", 901)
    (folder / "private.jpg.xmp").write_text("somebody's own")
    return folder


def test_links_and_special_files_are_never_opened_followed_or_replaced(
    home: Home, elsewhere: Path, figures: Figures
) -> None:
    photos = home.photos
    good = [make_photo(photos / f"good {number}.jpg", number, (260, 240)) for number in range(6)]
    good.append(make_photo(photos / "folder.jpg" / "inside.jpg", 6, (260, 240)))
    odd = links(photos, elsewhere) + special_files(photos / "odd")
    kept = contents(elsewhere)
    # Things at the path of a sidecar.
    (photos / "good 0.jpg.xmp").symlink_to(elsewhere / "private.jpg.xmp")
    (photos / "good 1.jpg.xmp").symlink_to(elsewhere / "not yet.xmp")
    (photos / "good 2.jpg.xmp").mkdir()
    os.mkfifo(photos / "good 3.jpg.xmp")
    home.daemon()
    names = {path.name for path in good}
    until(lambda: home.scored().keys() == names, "the photos among them")
    until(lambda: rated(home) == len(good) - 4, "ratings of the photos with a free sidecar path")
    until(home.is_at_rest, "rest")
    assert home.maclip("status").stdout.count("\nunrated ") == 4

    # While the daemon runs, new ones appear, and some replace known photos.
    odd += special_files(photos / "later")
    good[4].unlink()
    os.mkfifo(good[4])
    good[5].unlink()
    good[5].symlink_to(elsewhere / "private.jpg")
    make_photo(photos / "last.jpg", 7, (260, 240))
    names = names - {good[4].name, good[5].name} | {"last.jpg"}
    until(lambda: home.scored().keys() == names, "the photos that are left")
    until(lambda: (photos / "last.jpg.xmp").exists(), "the last rating")
    until(home.is_at_rest, "rest")
    assert home.sql("select * from photo_failures") == []
    assert len(home.sql("select 1 from photos")) == len(good) + 1
    for path in (photos / "good 3.jpg.xmp", good[4], photos / "odd" / "pipe.jpg"):
        with pytest.raises(OSError, match=os.strerror(errno.ENXIO)):  # ENXIO: no reader
            os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    home.maclip("score", photos / "odd" / "pipe.jpg", photos / "to itself.jpg", expect=1)
    home.maclip("undo")
    assert contents(elsewhere) == kept
    assert not list(photos.rglob(".maclip-*"))
    figures(
        rounds=1,
        files=len(good) + 1,
        faults=len(odd) + 6,
        note=f"{len(odd) + 6} links, pipes, sockets, devices",
    )


def links(photos: Path, elsewhere: Path) -> list[Path]:
    """Create links in circles, to the parent, out of the root, and to nowhere."""
    targets = {
        "to itself.jpg": "to itself.jpg",
        "a.jpg": "b.jpg",
        "b.jpg": "a.jpg",
        "parent": "..",
        "here": ".",
        "round/and": "../round",
        "root": str(photos),
        "out": str(elsewhere),
        "out.jpg": str(elsewhere / "private.jpg"),
        "nowhere.jpg": "missing.jpg",
        "twice.jpg": "good 1.jpg",
        "null.jpg": "/dev/null",
        "zero.jpg": "/dev/zero",
    }
    (photos / "round").mkdir()
    for name, target in targets.items():
        (photos / name).symlink_to(target)
    return [photos / name for name in targets]


def special_files(folder: Path) -> list[Path]:
    """Create a pipe, a socket, and (as root) devices, all with names of photos."""
    folder.mkdir()
    os.mkfifo(folder / "pipe.jpg")
    made = [folder / "pipe.jpg", folder / "socket.jpg"]
    with (
        socket.socket(socket.AF_UNIX) as listening,
        contextlib.chdir(folder),
    ):  # a socket's path has at most 107 bytes
        listening.bind("socket.jpg")
    for kind, name, numbers in ((stat.S_IFCHR, "zero.jpg", (1, 5)), (stat.S_IFBLK, "disk.jpg", (7, 200))):
        with contextlib.suppress(PermissionError):
            os.mknod(folder / name, 0o644 | kind, os.makedev(*numbers))
            made.append(folder / name)
    return made


@pytest.fixture
def exfat(home: Home) -> Iterator[None]:
    """Put the photos on a case-preserving, case-insensitive file system."""
    with mounts.exfat_disk(home.folder / "exfat.img", home.photos):
        yield
        home.kill_daemons()


@pytest.mark.usefixtures("exfat")
def test_a_case_only_rename_is_recognised_on_a_case_insensitive_file_system(
    home: Home, figures: Figures
) -> None:
    for number, name in enumerate(("IMG_1.jpg", "IMG_2.jpg", "IMG_3.JPG", "Album/IMG_4.jpg", "Album/5.jpg")):
        make_photo(home.photos / name, number, (260, 240))
    before = contents(home.photos)
    home.maclip("run", "--once", home.photos)
    scored_at = dict(home.sql("select id, scored_at from scores"))
    renames = {
        "IMG_1.jpg": "img_1.jpg",
        "IMG_1.jpg.xmp": "img_1.jpg.xmp",
        "IMG_3.JPG": "IMG_3.jpg",
        "Album": "ALBUM",
    }
    for old, new in renames.items():
        (home.photos / old).rename(home.photos / new)
    home.maclip("run", "--once", home.photos)
    assert paths(home) == {"img_1.jpg", "IMG_2.jpg", "IMG_3.jpg", "ALBUM/IMG_4.jpg", "ALBUM/5.jpg"}
    assert home.sql("select count(*) from photos") == [(5,)]
    assert dict(home.sql("select id, scored_at from scores")) == scored_at
    assert home.sql("select distinct rating_owner from photos") == [("maclip",)]
    assert len(list(home.photos.rglob("*.xmp"))) == 5
    home.maclip("undo")
    assert sorted(contents(home.photos).values()) == sorted(before.values())
    figures(rounds=1, files=5, faults=len(renames), note="case-only renames also on exFAT")


@pytest.mark.long_form("while the daemon runs")
@pytest.mark.parametrize(
    "running", [True, False], ids=["while the daemon runs", "while the daemon is stopped"]
)
def test_a_case_only_rename_keeps_score_and_stars(
    home: Home, full: bool, figures: Figures, running: bool
) -> None:
    for number, name in enumerate(
        ("IMG_1.jpg", "IMG_2.jpg", "IMG_3.JPG", "Album/IMG_4.jpg", "Album/IMG_5.jpg")
    ):
        make_photo(home.photos / name, number, (260, 240))
    before = set(contents(home.photos).values())
    daemon = home.daemon()
    until(lambda: len(list(home.photos.rglob("*.xmp"))) == 5, "five ratings")
    until(home.is_at_rest, "rest")
    scored_at = dict(home.sql("select id, scored_at from scores"))
    if not running:
        home.stop(daemon)
    renames = {
        "IMG_1.jpg": "img_1.jpg",
        "IMG_1.jpg.xmp": "img_1.jpg.xmp",
        "IMG_3.JPG": "IMG_3.jpg",
        "Album": "ALBUM",
    }
    for old, new in renames.items():
        (home.photos / old).rename(home.photos / new)
    if not running:
        daemon = home.daemon()
    expected = {"img_1.jpg", "IMG_2.jpg", "IMG_3.jpg", "ALBUM/IMG_4.jpg", "ALBUM/IMG_5.jpg"}
    until(lambda: paths(home) == expected, "the new names")
    until(home.is_at_rest, "rest")
    assert home.sql("select count(*) from photos") == [(5,)]
    assert dict(home.sql("select id, scored_at from scores")) == scored_at
    assert home.sql("select distinct rating_owner from photos") == [("maclip",)]
    sidecars = {str(path.relative_to(home.photos)) for path in home.photos.rglob("*.xmp")}
    # The sidecar of the third, whose name differs in case, is still its sidecar.
    assert sidecars == {name + ".xmp" for name in expected - {"IMG_3.jpg"}} | {"IMG_3.JPG.xmp"}
    home.stop(daemon)  # the daemon checks a sidecar again ten seconds after its photo was renamed
    home.maclip("undo")
    assert sorted(contents(home.photos).values()) == sorted(before)
    figures(rounds=1, files=5, faults=len(renames))


def paths(home: Home) -> set[str]:
    rows = home.sql("select path from photo_quality where state = 'scored'")
    return {os.path.relpath(path, home.photos) for (path,) in rows}
