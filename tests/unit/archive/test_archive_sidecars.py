"""An archive's stars beside local copies: a person's stay, a second run writes nothing, undo restores all."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from small_results import NOW, failed, origin, scored, write

from maclip_daemon.archive.local_copies import LocalCopies, common_source
from maclip_daemon.archive.rated_rows import rated_rows, star_edges
from maclip_daemon.archive.results_folder import open_results
from maclip_daemon.errors import ChildDied, MaclipError, NoSpace
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import root_records
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared, RatingRequest
from maclip_daemon.pipeline.commands.archive_results.archive_sidecars import ArchiveSidecars
from maclip_daemon.settings import RatingSettings
from tests.homes import Home, contents, make_photo

SHARES = (10, 20, 40, 20, 10)
PERSONS = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>"""


@pytest.fixture
def copies(home: Home) -> Path:
    """Ten photos of an archive, seven of them here: one rated by a person, one another file by now."""
    folder = home.folder / "nas"
    rows = []
    for number in range(10):
        name = f"{'x' if number % 2 else 'y'}/{number}.jpg"
        size = 1
        if number < 7:
            size = make_photo(folder / name, seed=number, size=(64, 48)).stat().st_size
        rows.append(scored(f"s3://studio/2026/{name}", number / 10) | {"size": size})
    rows[3]["size"] += 1
    (folder / "y/2.jpg.xmp").write_text(PERSONS)
    write(home.folder / "out", [*rows, failed("s3://studio/2026/y/f.jpg")])
    return folder


def sidecars(home: Home, folder: Path, *more: str) -> str:
    told = home.maclip("archive", "sidecars", home.folder / "out", "--below", folder, *more)
    assert told.stderr == f"s3://studio/2026 is {folder} here.\n"
    return told.stdout.strip()


def test_stars_lie_beside_the_copies_and_undo_takes_all_away(home: Home, copies: Path) -> None:
    before = contents(copies)
    others = "1 left alone with a person's rating, 3 not on this machine, 1 left alone: another file"
    told = sidecars(home, copies, "--dry-run")
    assert told.startswith("This would be the result: 6 written, 3 not on this machine")
    assert contents(copies) == before
    assert sidecars(home, copies).startswith(f"5 written, {others}")
    first = contents(copies)
    ratings = {
        path.name: int(data.split(b"xmp:Rating")[1].lstrip(b'=">')[:1])
        for path, data in first.items()
        if path.suffix == ".xmp"
    }
    assert ratings == {
        "0.jpg.xmp": 1,
        "1.jpg.xmp": 2,
        "2.jpg.xmp": 4,
        "4.jpg.xmp": 3,
        "5.jpg.xmp": 3,
        "6.jpg.xmp": 3,
    }
    assert first[copies / "y/2.jpg.xmp"] == PERSONS.encode()
    assert b"maclip:Proof" in first[copies / "y/0.jpg.xmp"]
    assert sidecars(home, copies).startswith("5 up to date already")
    assert contents(copies) == first
    assert "5 sidecars removed" in home.maclip("undo").stdout
    assert contents(copies) == before


def test_photos_of_a_watched_folder_are_left_to_their_library(home: Home, copies: Path) -> None:
    home.data.mkdir()
    with contextlib.closing(Library.open(home.data / "library.db")) as library, library.writing() as session:
        root_records.root_for(session, str(copies), NOW)
    assert "10 left to the library that watches them" in sidecars(home, copies)
    assert list(copies.rglob("*.jpg.xmp")) == [copies / "y/2.jpg.xmp"]


class LostWriter(MetadataWriter):
    """Loses its process with the photo `killer`; the disk is full for all others when `is_full`."""

    def __init__(self, killer: str, *, is_full: bool = False) -> None:
        self.killer, self.is_full = killer, is_full

    def prepare_many(self, requests: Sequence[RatingRequest]) -> list[Prepared | MaclipError]:
        if any(request.photo.name == self.killer for request in requests):
            raise ChildDied(f"{self.killer}: exiv2 crashes on this photo's metadata.")
        full = NoSpace("The disk is full.")
        return [full if self.is_full else Prepared(each.photo, "unchanged", 3) for each in requests]


def outcomes(folder: Path, writer: MetadataWriter) -> list[tuple[str, str]]:
    """Write sidecars for three photos with a writer of the test."""
    photos = [make_photo(folder / f"{name}.jpg", size=(16, 16)) for name in "abc"]
    write(folder, [scored(str(photo)) | {"size": None} for photo in photos])
    probe = FilesystemProbe(5)
    with (
        contextlib.closing(Library.open(folder / "library.db")) as library,
        open_results(str(folder)).rows() as rows,
    ):
        settings = RatingSettings(darktable_library="off", sidecar_name="full")
        sidecars = ArchiveSidecars(library, writer, probe, settings, lambda: NOW)
        rated = [(Path(row.address), row) for row in rated_rows(rows, ())]
        return [(result.path.name, result.outcome) for result in sidecars.write(rated)]


def test_a_photo_that_crashes_its_reader_costs_only_its_own_sidecar(tmp_path: Path) -> None:
    found = outcomes(tmp_path, LostWriter("b.jpg"))
    assert found == [("a.jpg", "unchanged"), ("b.jpg", "failed"), ("c.jpg", "unchanged")]


def test_a_full_disk_ends_the_command_with_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(NoSpace, match="The disk is full"):
        outcomes(tmp_path, LostWriter("", is_full=True))


def test_stars_are_shares_of_the_archive_and_equal_scores_share_them(tmp_path: Path) -> None:
    write(tmp_path, [scored(f"/{number:02}.jpg", number // 2) for number in range(20)])
    with open_results(str(tmp_path)).rows() as rows:
        rated = list(rated_rows(rows, star_edges(rows, SHARES)))
    assert [row.stars for row in rated] == [1] * 2 + [2] * 4 + [3] * 8 + [4] * 4 + [5] * 2
    assert [row.percentile for row in rated[:3]] == [5.0, 5.0, 15.0]
    write(tmp_path, [failed("/x.jpg")], generation=2)
    with open_results(str(tmp_path)).rows() as rows:
        assert (star_edges(rows, SHARES), list(rated_rows(rows, ()))) == ((), [])


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("s3://b/in/a.jpg", "/here/a.jpg"),
        ("s3://b/in/2026/two\nlines.jpg", "/here/2026/two\nlines.jpg"),
        ("s3://b/in/../../etc/passwd", None),
        ("s3://b/in//etc/passwd", None),
        ("s3://b/in/", None),
        ("s3://b/inside/a.jpg", None),
    ],
)
def test_an_address_leads_below_the_folder_or_nowhere(address: str, path: str | None) -> None:
    found = LocalCopies("s3://b/in", Path("/here")).path_of(address)
    assert found == (None if path is None else Path(path))


def test_without_a_folder_an_address_is_a_path() -> None:
    assert LocalCopies().path_of("/p/a.jpg") == LocalCopies().path_of("file:///p/a.jpg") == Path("/p/a.jpg")
    assert LocalCopies().path_of("s3://b/a.jpg") is None
    assert LocalCopies().path_of("a.jpg") is None


@pytest.mark.parametrize(
    ("addresses", "shared"),
    [
        (["s3://b/x/a/1.jpg", "s3://b/x/a-b/2.jpg", "s3://b/x/a/c/3.jpg"], "s3://b/x"),
        (["/p/a/1.jpg"], "/p/a"),
        (["/p/a/1.jpg", "/p/2.jpg"], "/p"),
        (["s3://a/1.jpg", "gs://a/1.jpg"], ""),
    ],
)
def test_the_folder_that_all_addresses_share(addresses: list[str], shared: str, tmp_path: Path) -> None:
    write(tmp_path, [scored(address, origin=origin()) for address in addresses])
    with open_results(str(tmp_path)).rows() as rows:
        assert common_source(rows) == shared
