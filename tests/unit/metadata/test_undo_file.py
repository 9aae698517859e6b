from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from metadata_samples import DARKTABLE_SIDECAR, QUALITY, MakePhoto, accepted, files_in

from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.records import Mode, Prepared, RatingRequest, UndoEntry
from maclip_daemon.metadata.writing import commit_write
from maclip_daemon.metadata.writing.undo_file import undo


def write(request: RatingRequest) -> UndoEntry:
    prepared = metadata_process.prepare_many([request])[0]
    assert isinstance(prepared, Prepared)
    assert commit_write.commit_many([accepted(prepared)]) == [None]
    return prepared.undo_entry


def test_a_sidecar_that_we_created_is_removed(make_photo: MakePhoto, tmp_path: Path) -> None:
    photo = make_photo()
    before = files_in(tmp_path)
    entry = write(RatingRequest(photo, QUALITY))
    assert undo(entry).status == "removed"
    assert undo(entry).status == "gone"
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "mode"), [("a.jpg", "sidecar"), ("a.jpg", "embed"), ("a.png", "embed"), ("a.webp", "embed")]
)
def test_bytes_permissions_and_time_come_back_after_one_and_after_two_writes(
    make_photo: MakePhoto, tmp_path: Path, name: str, mode: Mode
) -> None:
    photo = make_photo(name, tags={"Xmp.dc.title": "T", "Exif.Image.Rating": "0"})
    target = photo
    if mode == "sidecar":
        target = photo.with_name(name + ".xmp")
        target.write_bytes(DARKTABLE_SIDECAR)
    target.chmod(0o640)
    os.utime(target, ns=(1, 1_234_567_890_123_456_789))
    before = files_in(tmp_path)
    first = write(RatingRequest(photo, QUALITY, mode))
    second = write(RatingRequest(photo, replace(QUALITY, stars=2), mode, last_written=4))
    assert undo(second).status == "restored"
    assert undo(first).status == "restored"
    assert undo(first).status == "already"
    assert files_in(tmp_path) == before
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert target.stat().st_mtime_ns == 1_234_567_890_123_456_789


def add_comment(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"</x:xmpmeta>", b"<!-- mine --></x:xmpmeta>"))


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def make_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))


@pytest.mark.parametrize("change", [add_comment, cut_off, Path.unlink, make_link])
def test_a_file_that_was_changed_since_is_left_alone_and_named(
    make_photo: MakePhoto, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    target.write_bytes(DARKTABLE_SIDECAR)
    entry = write(RatingRequest(photo, QUALITY))
    change(target)
    before = files_in(tmp_path)
    outcome = undo(entry)
    assert outcome.status == "changed"
    assert str(target) in outcome.reason
    assert files_in(tmp_path) == before


def test_damaged_journal_data_restores_nothing(make_photo: MakePhoto) -> None:
    photo = make_photo()
    target = photo.with_name("IMG_1.jpg.xmp")
    target.write_bytes(DARKTABLE_SIDECAR)
    entry = write(RatingRequest(photo, QUALITY))
    ours = target.read_bytes()
    assert undo(replace(entry, restore=entry.restore[:-1] + b"?")).status == "changed"
    assert target.read_bytes() == ours
