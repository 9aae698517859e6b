"""Rename detection: whether a known path still holds the file that was found elsewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library.photos import photo_records, root_records
from maclip_daemon.pipeline.discovery.rename_detection import RenameDetection
from tests.rated_library import NOW, RatedLibrary

Result = TypeVar("Result")


class RemoteProbe(FilesystemProbe):
    """A probe whose folders are all on a server; it may hang. Needs no thread."""

    is_hung = False
    hangs_at = ""

    @property
    def has_remote(self) -> bool:
        return True

    def call(self, path: str, operation: Callable[[], Result]) -> Result:
        if self.is_hung or path == self.hangs_at:
            raise NoAnswer("The server does not answer.")
        return operation()


def found(path: Path) -> FoundFile:
    file = found_file(str(path))
    assert file is not None
    return file


@pytest.fixture(params=[FilesystemProbe, RemoteProbe])
def probe(request: pytest.FixtureRequest) -> FilesystemProbe:
    result = request.param()
    assert isinstance(result, FilesystemProbe)
    return result


def record(rated: RatedLibrary, probe: FilesystemProbe, file: FoundFile) -> photo_records.RecordedFile:
    detection = RenameDetection(rated.library, probe, [file])
    with rated.library.writing() as session:
        root = root_records.root_for(session, str(rated.folder), NOW)
        return photo_records.record_file(
            session, root, file, NOW, is_gone=detection.is_gone, is_there=detection.is_there
        )


def test_a_file_has_left_its_old_path_after_a_rename(rated: RatedLibrary, probe: FilesystemProbe) -> None:
    rated.add("a.jpg")
    old, new = rated.folder / "a.jpg", rated.folder / "b.jpg"
    old.rename(new)
    detection = RenameDetection(rated.library, probe, [found(new)])
    assert detection.is_gone(str(old))
    assert not detection.is_there(str(old), found(new))


def test_a_hard_link_is_no_rename(rated: RatedLibrary, probe: FilesystemProbe) -> None:
    rated.add("a.jpg")
    old, new = rated.folder / "a.jpg", rated.folder / "b.jpg"
    new.hardlink_to(old)
    detection = RenameDetection(rated.library, probe, [found(new)])
    assert not detection.is_gone(str(old))
    assert detection.is_there(str(old), found(new))


def test_another_file_at_the_old_path_is_not_the_renamed_one(
    rated: RatedLibrary, probe: FilesystemProbe
) -> None:
    rated.add("a.jpg")
    old, new = rated.folder / "a.jpg", rated.folder / "b.jpg"
    old.rename(new)
    old.write_bytes(b"another photo")
    detection = RenameDetection(rated.library, probe, [found(new)])
    assert not detection.is_gone(str(old)), "something is there"
    assert not detection.is_there(str(old), found(new))


def test_a_name_that_changed_only_its_case_is_gone_where_both_spellings_open_the_file(
    rated: RatedLibrary, probe: FilesystemProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated.add("IMG.jpg")
    photo, listdir = rated.folder / "IMG.jpg", os.listdir

    def listdir_after_the_rename(path: str) -> list[str]:
        return ["img.jpg"] if path == str(rated.folder) else listdir(path)

    assert not RenameDetection(rated.library, probe, [found(photo)]).is_gone(str(photo))
    monkeypatch.setattr(os, "listdir", listdir_after_the_rename)
    detection = RenameDetection(rated.library, probe, [found(photo)])
    assert detection.is_gone(str(photo))
    assert not detection.is_there(str(photo), found(photo))
    (rated.folder / "link.jpg").hardlink_to(photo)
    detection = RenameDetection(rated.library, probe, [found(photo)])
    assert not detection.is_gone(str(photo)), "with two names nobody knows which one is listed"


def test_a_folder_that_cannot_be_listed_is_no_proof_of_a_rename(
    rated: RatedLibrary, probe: FilesystemProbe, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated.add("a.jpg")
    photo = rated.folder / "a.jpg"

    def refuse(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)
    assert not RenameDetection(rated.library, probe, [found(photo)]).is_gone(str(photo))


def test_a_file_keeps_its_path_while_its_server_does_not_answer(rated: RatedLibrary) -> None:
    rated.add("a.jpg")
    old, new = rated.folder / "a.jpg", rated.folder / "b.jpg"
    old.rename(new)
    probe = RemoteProbe()
    probe.is_hung = True
    assert not RenameDetection(rated.library, probe, [found(new)]).is_gone(str(old))


def test_servers_are_asked_before_the_transaction_and_not_in_it(rated: RatedLibrary) -> None:
    rated.add("a.jpg")
    old, new = rated.folder / "a.jpg", rated.folder / "b.jpg"
    new.hardlink_to(old)
    file = found(new)
    detection = RenameDetection(rated.library, RemoteProbe(), [file])
    old.unlink()
    assert not detection.is_gone(str(old))
    assert detection.is_there(str(old), file)
    unknown = str(rated.folder / "unknown.jpg")
    assert not detection.is_gone(unknown), "it was not asked about"


def test_a_link_whose_root_went_away_with_the_other_takes_nothing_along(
    rated: RatedLibrary, probe: FilesystemProbe
) -> None:
    rated.add("a.jpg")
    old, new = rated.folder / "a.jpg", rated.folder / "b.jpg"
    new.hardlink_to(old)
    file = found(new)
    away = rated.folder.rename(rated.folder.with_name("away"))
    assert record(rated, probe, file).change == "same"
    away.rename(rated.folder)
    assert rated.rows("SELECT file_name FROM photos") == [("a.jpg",)]
    assert record(rated, probe, file).change == "new"


def test_a_file_that_moves_on_before_it_is_recorded_keeps_its_row(
    rated: RatedLibrary, probe: FilesystemProbe
) -> None:
    rated.add("a.jpg")
    seen = (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    file = found(seen)
    at_last = seen.rename(rated.folder / "c.jpg")
    assert record(rated, probe, file).change == "same"
    assert record(rated, probe, found(at_last)).change == "moved"
    assert rated.rows("SELECT file_name FROM photos") == [("c.jpg",)]


def test_a_renamed_file_takes_its_row_along(rated: RatedLibrary, probe: FilesystemProbe) -> None:
    rated.add("a.jpg")
    new = (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    assert record(rated, probe, found(new)).change == "moved"


def test_nothing_is_moved_where_the_server_is_lost_between_both_looks(rated: RatedLibrary) -> None:
    rated.add("a.jpg")
    new = (rated.folder / "a.jpg").rename(rated.folder / "b.jpg")
    file, probe = found(new), RemoteProbe()
    probe.hangs_at = str(new)
    assert record(rated, probe, file).change == "same"
