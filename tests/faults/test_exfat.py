"""exFAT, as on cards and portable disks: no hard links, no attributes, no permissions, two seconds a tick."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import mounts
from tests.faults.conftest import Figures
from tests.faults.nth_failure import FOREIGN
from tests.homes import Home, contents, make_photos


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


def test_a_name_that_was_claimed_before_a_kill_gets_its_sidecar_on_exfat(
    home: Home, card: Path, figures: Figures
) -> None:
    """The metadata process is locked in, so that nothing can hold it between claim and rename."""
    make_photos(card, 5)
    before = contents(card)
    home.maclip("run", "--once", card)
    claim = card / "IMG_0002.jpg.xmp"
    claim.write_bytes(b"")
    os.utime(claim, (1, 1))  # no other program is about to write it
    with sqlite3.connect(home.data / "library.db") as connection:
        connection.execute(
            "update rating_journal set state = 'intended' where target_path = ?", (str(claim),)
        )
        connection.execute(
            "update photos set rating_owner = 'none', stars_written = null where file_name = 'IMG_0002.jpg'"
        )
        connection.execute(
            "insert into jobs (photo_id, kind, not_before, changed_at) select id, 'rate', first_seen_at,"
            " first_seen_at from photos where file_name = 'IMG_0002.jpg'"
        )
    connection.close()
    home.maclip("run", "--once", card)
    assert owners(home) == [("maclip", 5)]
    assert claim.stat().st_size
    home.maclip("undo")
    assert contents(card) == before
    figures(rounds=1, files=5, faults=1, note="killed between claim and rename")
