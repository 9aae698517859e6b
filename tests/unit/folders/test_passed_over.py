"""What a scan passes over is left alone, and counted."""

import json
from pathlib import Path

import pytest

from maclip_daemon.folders.exclusion import Exclusion, library_around, library_program
from maclip_daemon.folders.passed_over import PassedOver, inside_library_warning
from maclip_daemon.folders.scanner import FolderListing, scan
from maclip_daemon.photos.formats import is_photo, passed_over_kind


def listings(root: Path, *patterns: str) -> list[FolderListing]:
    return list(scan(str(root), Exclusion(patterns), is_photo, other_kind=passed_over_kind))


def total(found: list[FolderListing]) -> PassedOver:
    summed = PassedOver()
    for listing in found:
        if listing.passed_over is not None:
            summed.add(listing.passed_over)
    return summed


LIBRARIES = {
    "Photos Library.photoslibrary": "Apple Photos",
    "iPhoto Library": "iPhoto",
    "Old.migratedphotolibrary": "iPhoto",
    "Aperture.aplibrary": "Aperture",
    "Lightroom Catalog Smart Previews.LRDATA": "Lightroom",
    "Lightroom Catalog Previews.lrdata": "Lightroom",
    "Lightroom Library.lrlibrary": "Lightroom",
    "Backups.backupdb": "Time Machine",
    "2026-11-28-190000.backup": "Time Machine",
    "Photo Booth Library": "Photo Booth",
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_libraries_of_other_programs_are_left_alone_and_named(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "2026" / name / "originals" / "1"
    inside.mkdir(parents=True)
    (inside / "IMG_1.jpg").write_bytes(b"x")
    (tmp_path / "2026" / "a.jpg").write_bytes(b"x")
    found = listings(tmp_path)
    assert [file.name for listing in found for file in listing.files] == ["a.jpg"]
    assert total(found).libraries == [str(tmp_path / "2026" / name)]
    assert library_program(name) == LIBRARIES[name]


@pytest.mark.parametrize(
    "name",
    ["Photos", "photoslibrary", ".photoslibrary", "my.lrdata.jpg", "Backups", "2026-11-28", "a.backup"],
)
def test_ordinary_folders_belong_to_nobody(name: str) -> None:
    assert library_program(name) is None


@pytest.mark.parametrize("name", ["@eaDir", "lost+found", ".Trash-1000", "$RECYCLE.BIN", ".Spotlight-V100"])
def test_trash_and_thumbnails_are_left_alone_without_being_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.gif").write_bytes(b"x")
    assert total(listings(tmp_path)) == PassedOver()


def test_kinds_that_are_not_read_are_counted_unless_the_user_excludes_them(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    for name in ("a.gif", "b.GIF", "c.psd", "d.jpg", "e.txt", ".f.gif", "exports/g.bmp", "exports/h.gif"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.gif").mkdir()
    assert total(listings(tmp_path)).kinds == {"GIF": 3, "Photoshop": 1, "BMP": 1}
    assert total(listings(tmp_path, "exports/", "*.psd")).kinds == {"GIF": 2}


def test_large_folders_are_counted_once(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / f"{number}.jpg").write_bytes(b"x")
        (tmp_path / f"{number}.gif").write_bytes(b"x")
    found = listings(tmp_path)
    assert len(found) > 1
    assert total(found).kinds == {"GIF": 600}


def test_a_watched_folder_inside_a_library_says_what_happens() -> None:
    assert library_around("/p/Photos Library.photoslibrary/originals") == (
        "/p/Photos Library.photoslibrary",
        "Apple Photos",
    )
    warning = inside_library_warning("/p/X.aplibrary")
    assert warning is not None
    assert warning.startswith("/p/X.aplibrary belongs to Aperture.")
    assert "`maclip run --mode off` writes none" in warning
    assert inside_library_warning("/p/2026") is None


def test_it_is_stored_and_read_whatever_the_names() -> None:
    found = PassedOver(libraries=["/p/\udcff.lrdata"], empty=["/p/b\n.jpg", "/p/a.jpg"])
    found.kinds["GIF"] += 2
    read = PassedOver.of_json(json.loads(json.dumps(found.as_json())))
    assert read == PassedOver(found.kinds, found.libraries, sorted(found.empty))
