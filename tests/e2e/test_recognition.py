"""A photo is recognised after another program edits its metadata, also in an older library."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pyexiv2
import pytest

from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import decode
from tests.homes import Home, make_photo, until

SENTINEL = 0.123  # no model returns this score: a row that still has it was not scored again


def edit_metadata(photo: Path) -> None:
    """Change a photo's embedded metadata, as a photo manager does."""
    with pyexiv2.Image(str(photo)) as image:
        image.modify_xmp({"Xmp.dc.subject": ["sea"]})
        image.modify_iptc({"Iptc.Application2.Keywords": ["sea"]})


def former_hash(photo: Path) -> str:
    decoded = decode(
        io.BytesIO(photo.read_bytes()), photo.name, parse("spaq448"), max_megapixels=100, former_hash=True
    )
    assert decoded.former_hash is not None
    return decoded.former_hash


def write(home: Home, statement: str, *values: object) -> None:
    with sqlite3.connect(home.data / "library.db") as connection:
        connection.execute(statement, values)
    connection.close()


def hashes(home: Home) -> dict[str, str]:
    return dict(home.sql("select file_name, pixel_hash from photos"))


def test_edited_metadata_do_not_score_a_photo_again_but_new_pixels_do(home: Home) -> None:
    edited, replaced = (
        make_photo(home.photos / f"{name}.jpg", 1, (2400, 1800)) for name in ("edited", "new")
    )
    make_photo(replaced, 2, (2400, 1800))
    daemon = home.daemon()
    until(lambda: len(home.scored()) == 2, "both photos scored")
    home.stop(daemon)
    write(home, "update scores set score = ?", SENTINEL)
    edit_metadata(edited)
    make_photo(replaced, 3, (2400, 1800))
    home.daemon()
    until(lambda: home.scored().get("new.jpg", SENTINEL) != SENTINEL, "the replaced one scored again")
    until(lambda: home.sql("select count(*) from photos where state = 'scored'") == [(2,)], "both scored")
    assert home.scored()["edited.jpg"] == SENTINEL


@pytest.mark.long_form
def test_an_older_library_recognises_its_photos_and_stores_their_new_hashes(
    home: Home,
) -> None:
    known, replaced = (make_photo(home.photos / f"{name}.jpg", seed) for seed, name in enumerate("ab"))
    home.maclip("run", "--once", home.photos)
    learned = hashes(home)
    assert all(each.startswith("jpeg:") for each in learned.values())
    write(home, "insert into scoring_configs (metric, model, protocol) values ('maclip', 'other', 'spaq448')")
    for photo in (known, replaced):
        write(home, "update photos set pixel_hash = ? where file_name = ?", former_hash(photo), photo.name)
    write(home, "update scores set score = ?", SENTINEL)
    other_config = "insert into scores (photo_id, folder_id, scoring_config_id, score, views, scored_at)"
    other_config += " select photo_id, folder_id, (select id from scoring_configs where model = 'other'),"
    other_config += " 0.5, 1, scored_at"
    write(home, other_config + " from scores")
    edit_metadata(known)
    make_photo(replaced, 7)

    home.maclip("run", "--once", home.photos)

    assert home.scored()["a.jpg"] == SENTINEL, "recognised by its former hash"
    assert home.scored()["b.jpg"] != SENTINEL, "other pixels are another photo"
    assert hashes(home)["a.jpg"] == learned["a.jpg"], "from now on it is known by the new one"
    on_other_config = "select file_name from scores join photos on photos.id = photo_id where score = 0.5"
    assert home.sql(on_other_config) == [("a.jpg",)], "only scores of other pixels were dropped"


@pytest.mark.long_form
def test_switching_the_reduction_scores_nothing_again(home: Home) -> None:
    photo = make_photo(home.photos / "a.jpg", 1, (2400, 1800))
    home.maclip("run", "--once", home.photos)
    quick = home.scored()["a.jpg"]
    write(home, "update scores set score = ?", SENTINEL)
    edit_metadata(photo)
    home.maclip("run", "--once", home.photos, MACLIP_DECODING__TWO_STEP_REDUCTION="false")
    assert home.scored()["a.jpg"] == SENTINEL
    exact = home.maclip("score", "--csv", photo, MACLIP_DECODING__TWO_STEP_REDUCTION="false").stdout
    score = float(exact.splitlines()[1].split(",")[1])
    assert 0 < abs(score - quick) < 0.05, "but a new photo is judged otherwise, a little"
