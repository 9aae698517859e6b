"""`maclip adopt`: what proves to be maclip's is taken over, a person's is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.library.photos import known_ratings
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import FoundRating, WriteProof
from maclip_daemon.pipeline.commands import adopt_ratings
from maclip_daemon.pipeline.commands.adopt_ratings import AdoptResult
from tests.rated_library import RatedLibrary, sidecar_of

OWNERS = "select rating_owner, stars_written, other_library from photos order by id"


class Finder(MetadataWriter):
    """Finds these ratings, by the name of the photo."""

    def __init__(self, **found: FoundRating) -> None:
        self.found = found

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        return self.found[photo.stem]


def found(
    rated: RatedLibrary, owner: str, rating: int | None, stars: int | None, proof: str = ""
) -> FoundRating:
    sidecar = sidecar_of(rated.folder / "a.jpg")
    evidence = WriteProof(rating or 0, "pixels", proof, is_whole=True) if proof else None
    return FoundRating(owner, rating, stars, sidecar, "a hash", evidence)  # type: ignore[arg-type]


def adopt(
    rated: RatedLibrary, finder: Finder, *, without_proof: bool = False, dry_run: bool = False
) -> AdoptResult:
    with rated.library.reading() as session:
        photo_ids = known_ratings.present_photos(session, [])
    (result,) = adopt_ratings.adopt(
        rated.library,
        finder,
        rated.state.probe,
        photo_ids,
        rated.now,
        without_proof=without_proof,
        dry_run=dry_run,
    )
    return result


@pytest.fixture
def photo(rated: RatedLibrary) -> int:
    return rated.add("a.jpg")


def test_a_proven_rating_is_taken_over_once(rated: RatedLibrary, photo: int) -> None:
    finder = Finder(a=found(rated, "maclip", 4, 4, "0badcafe"))
    assert adopt(rated, finder, dry_run=True).outcome == "adopted"
    assert rated.rows("select * from rating_journal") == []
    assert adopt(rated, finder) == AdoptResult(str(rated.folder / "a.jpg"), "adopted", 4)
    assert rated.rows("select adopted_from, state from rating_journal") == [("0badcafe", "written")]
    assert rated.rows(OWNERS) == [("maclip", 4, None)]
    assert adopt(rated, finder).outcome == "known"
    assert rated.rows("select count(*) from rating_journal") == [(1,)]


def test_stars_that_another_library_put_over_ours_are_taken_over_on_request(
    rated: RatedLibrary, photo: int
) -> None:
    adopt(rated, Finder(a=found(rated, "maclip", 4, 4, "0badcafe")))
    rated.write("update photos set other_library = '0badcafe'")
    rated.write("update rating_journal set after_hash = 'ours', adopted_from = null")
    adopt(rated, Finder(a=found(rated, "maclip", 2, 2, "0badcafe")))
    assert rated.rows(OWNERS) == [("maclip", 2, None)]
    assert rated.rows("select stars_written from rating_journal order by id") == [(4,), (2,)]


@pytest.mark.parametrize(
    ("owner", "rating", "stars", "outcome"),
    [("person", 5, None, "person"), ("person", 5, 3, "person"), ("none", None, None, "unrated")],
)
def test_a_persons_rating_is_never_taken_over(
    rated: RatedLibrary, photo: int, owner: str, rating: int | None, stars: int | None, outcome: str
) -> None:
    finder = Finder(a=found(rated, owner, rating, stars))
    assert adopt(rated, finder, without_proof=True).outcome == outcome
    assert rated.rows("select * from rating_journal") == []


def test_a_sidecar_of_an_earlier_version_is_taken_over_only_on_request(
    rated: RatedLibrary, photo: int
) -> None:
    finder = Finder(a=found(rated, "person", 3, 3))
    left = adopt(rated, finder)
    assert (left.outcome, "--without-proof" in left.reason) == ("unproven", True)
    assert rated.rows("select * from rating_journal") == []
    assert adopt(rated, finder, without_proof=True).outcome == "adopted"
    assert rated.rows("select adopted_from from rating_journal") == [("",)]
    assert rated.rows(OWNERS) == [("maclip", 3, None)]


def test_the_stars_of_another_photo_of_this_name_are_left_to_the_next_run(
    rated: RatedLibrary, photo: int
) -> None:
    rated.write("update photos set pixel_hash = 'others'")
    result = adopt(rated, Finder(a=found(rated, "maclip", 3, 3, "0badcafe")))
    assert (result.outcome, "another photo" in result.reason) == ("another_photo", True)
    assert rated.rows("select * from rating_journal") == []


def test_a_rating_that_the_library_called_a_persons_by_mistake_becomes_maclips_again(
    rated: RatedLibrary, photo: int
) -> None:
    finder = Finder(a=found(rated, "maclip", 4, 4, "0badcafe"))
    adopt(rated, finder)
    rated.write("update photos set rating_owner = 'person'")
    assert adopt(rated, finder).outcome == "known"
    assert rated.rows(OWNERS) == [("maclip", 4, None)]


def test_only_photos_at_and_below_the_given_paths_are_looked_at(rated: RatedLibrary) -> None:
    ids = [rated.add(name) for name in ("x/a.jpg", "x/b.jpg", "y/c.jpg")]
    with rated.library.reading() as session:
        assert known_ratings.present_photos(session, [str(rated.folder / "x")]) == ids[:2]
        assert known_ratings.present_photos(session, [str(rated.folder / "y/c.jpg")]) == ids[2:]
        assert known_ratings.present_photos(session, []) == ids
