"""How many photos carry darktable's first star: told only where it is most of what counts as a person's."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.pipeline.rating import first_stars
from maclip_daemon.pipeline.rating.darktable_check import FIRST_STAR
from tests.rated_library import RatedLibrary, sidecar_of

DARKTABLES = b'<rdf:Description darktable:xmp_version="5" xmp:Rating="1"/>'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    folder = tmp_path / "home" / ".config" / "darktable"
    folder.mkdir(parents=True)
    return folder


def add(
    rated: RatedLibrary, count: int, rating: int | None, sidecar: bytes = DARKTABLES, owner: str = "person"
) -> None:
    """Add photos whose file holds a rating."""
    first = rated.rows("select count(*) from photos")[0][0]
    for number in range(first, first + count):
        photo_id = rated.add(f"{number}.jpg")
        if sidecar:
            sidecar_of(rated.folder / f"{number}.jpg").write_bytes(sidecar)
        values = f"rating_owner = '{owner}', rating_in_file = {rating or 'null'}"
        rated.write(f"update photos set {values} where id = {photo_id}")


def survey(rated: RatedLibrary) -> list[tuple[int, int, bool]]:
    with rated.library.snapshot() as snapshot:
        return [(each.rating, each.count, each.is_exact) for each in first_stars.survey(snapshot)]


def test_most_ratings_must_be_darktables_first_star(rated: RatedLibrary) -> None:
    assert survey(rated) == []
    add(rated, 5, 1)
    add(rated, 4, 3)
    assert survey(rated) == [(1, 5, True)]
    add(rated, 20, 4, owner="maclip")
    assert survey(rated) == [(1, 5, True)], "what maclip rated says nothing about the person"
    add(rated, 1, 2)
    assert survey(rated) == []


def test_the_star_must_be_in_sidecars_of_darktable(rated: RatedLibrary) -> None:
    add(rated, 5, 1, sidecar=b'<rdf:Description xmp:Rating="1"/>')
    add(rated, 5, 1, sidecar=b"")
    add(rated, 5, 1, sidecar=DARKTABLES + b'<maclip:Stars="3"/>')
    assert survey(rated) == []


def test_the_star_is_the_one_that_darktable_is_set_to(rated: RatedLibrary, home: Path) -> None:
    add(rated, 5, 3)
    assert survey(rated) == []
    (home / "darktablerc").write_text("ui_last/import_initial_rating=3\n")
    assert survey(rated) == [(3, 5, True)]
    (home / "darktablerc").write_text("ui_last/import_initial_rating=0\n")
    assert survey(rated) == []
    rated.write("update photos set rating_in_file = 1")
    assert survey(rated) == [(1, 5, True)], "its default before somebody changed it"


def test_photos_whose_star_is_only_in_darktables_library_count_too(rated: RatedLibrary) -> None:
    add(rated, 3, None, sidecar=b"", owner="none")
    rated.write(f"update photos set rating_problem = '{FIRST_STAR}'")
    assert survey(rated) == [(1, 3, True)]
    add(rated, 2, 1)
    assert survey(rated) == [(1, 5, True)]


def test_a_large_library_is_sampled(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_stars, "SAMPLED", 10)
    add(rated, 30, 1)
    assert survey(rated) == [(1, 30, True)], "all of the sample are darktable's"
    for sidecar in list(rated.folder.glob("*.xmp"))[::3]:
        sidecar.write_bytes(b"another program's")
    ((_, count, is_exact),) = survey(rated)
    assert not is_exact
    assert 15 < count < 30


def test_the_sentence_has_the_number_the_command_and_the_way_back(rated: RatedLibrary) -> None:
    sentence = first_stars.FirstStars("/my photos", 1, 35, True).sentence()
    assert "35 photos in /my photos" in sentence
    assert "`maclip rate --over-first-stars '/my photos'`" in sentence
    assert "maclip undo" in sentence
    assert "about 35 photos" in first_stars.FirstStars("/p", 1, 35, False).sentence()
