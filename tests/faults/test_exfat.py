"""exFAT, as on cards and portable disks: no hard links, no attributes, no permissions, two seconds a tick."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from maclip_daemon.files import linux_calls
from maclip_daemon.files.open_folder import OpenFolder
from tests.faults import mounts
from tests.faults.conftest import Figures
from tests.faults.logged_daemon import running
from tests.faults.nth_failure import FOREIGN
from tests.homes import Home, contents, make_photos, until


@pytest.fixture
def card(home: Home) -> Iterator[Path]:
    with mounts.exfat_disk(home.folder / "exfat.img", home.photos):
        yield home.photos
        home.kill_daemons()


def owners(home: Home) -> list[tuple[str, int]]:
    return home.sql(
        "select rating_owner, count(*) from photos where state <> 'missing' group by rating_owner"
    )


def test_sidecars_are_made_updated_renamed_and_taken_back_on_exfat(
    home: Home, card: Path, figures: Figures
) -> None:
    photos = make_photos(card, 6)
    (card / "IMG_0000.jpg.xmp").write_text(FOREIGN)
    before = contents(card)
    with pytest.raises(PermissionError):
        os.link(photos[0], card / "second.jpg")
    home.maclip("run", "--once", card)
    assert owners(home) == [("maclip", 6)]
    assert len(list(card.glob("*.xmp"))) == 6
    scored_at = home.sql("select id, scored_at from scores order by id")
    for name in ("IMG_0001.jpg", "IMG_0001.jpg.xmp"):
        (card / name).rename(card / name.replace("0001", "0901"))
    (card / "IMG_0002.jpg").rename(card / "IMG_0902.jpg")  # its sidecar stays behind
    home.maclip("run", "--once", card)
    assert home.sql("select id, scored_at from scores order by id") == scored_at, "scored again"
    assert owners(home) == [("maclip", 6)]
    home.maclip("rate", MACLIP_RATING__EDGES="[9, 9, 9, 9]")
    assert home.sql("select distinct stars_written from photos where state <> 'missing'") == [(1,)]
    home.maclip("undo")
    for name in ("IMG_0901.jpg", "IMG_0902.jpg"):
        (card / name).rename(card / name.replace("09", "00"))
    assert contents(card) == before
    figures(rounds=3, files=6, faults=1, note="exFAT: made, updated, renamed, taken back")


def empty_sidecars(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.xmp") if not path.stat().st_size]


def test_a_kill_between_claim_and_rename_leaves_no_empty_sidecar_on_exfat(
    home: Home, card: Path, nth_call: Path, figures: Figures
) -> None:
    with OpenFolder(card) as folder:
        (card / "first").touch()
        if folder.rename_new("first", "second", linux_calls.NOREPLACE):
            pytest.skip("this exFAT renames without replacing, so that no name is claimed")
        (card / "first").unlink()
    make_photos(card, 5)
    before = contents(card)
    stopping = {"LD_PRELOAD": str(nth_call), "NTH_UNDER": str(card), "NTH_STOP": "renameat"}
    with running(home, card, **stopping) as daemon:
        until(lambda: empty_sidecars(card), "the claim of a name")
        everybody = [daemon.process, *psutil.Process(daemon.process.pid).children(recursive=True)]
        for process in everybody:
            process.kill()
        daemon.process.wait()
    (claim,) = empty_sidecars(card)
    os.utime(claim, (1, 1))  # no other program is about to write it
    home.maclip("run", "--once", card)
    assert owners(home) == [("maclip", 5)]
    assert all(path.stat().st_size for path in card.glob("*.xmp"))
    home.maclip("db", "check", "--sidecars")
    home.maclip("undo")
    assert contents(card) == before
    figures(rounds=1, files=5, faults=1, note="killed between claim and rename")
