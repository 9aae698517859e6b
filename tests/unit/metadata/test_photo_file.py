"""All that is read of a photo comes from the file that was opened, whatever has its name by then."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pyexiv2
import pytest
from PIL import Image

from maclip_daemon.errors import FileChanged
from maclip_daemon.files import attributes, nofollow, safe_writer
from maclip_daemon.metadata.content import embedded_xmp, second_reader, xmp_packets
from maclip_daemon.metadata.content import photo_file as photo_files
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.sidecars import new_sidecar, read_metadata

TITLE, SECRET = "a harbour", "a private title"


def make(path: Path, title: str) -> Path:
    Image.new("RGB", (64, 48), (9, 99, 200)).save(path)
    with pyexiv2.Image(str(path)) as image:
        image.modify_xmp({"Xmp.dc.title": {'lang="x-default"': title}})
        image.modify_exif({"Exif.Image.Artist": title})
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return make(tmp_path / "IMG.jpg", TITLE)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir()
    return make(tmp_path / "private" / "p.jpg", SECRET)


def put_link(photo: Path, secret: Path) -> None:
    photo.rename(photo.with_name("was here"))
    photo.symlink_to(secret)


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_link_that_takes_the_photos_place_is_never_read(
    photo: Path, secret: Path, has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_proc:
        monkeypatch.setattr(photo_files, "_DESCRIPTORS", "/nowhere")
    with PhotoFile(photo) as file:
        put_link(photo, secret)
        found = read_metadata.read_photo(file)
        document, _ = new_sidecar.build(file, found)
        assert xmp_packets.find(file).count == 1
        assert not embedded_xmp.has_further_packets(file)
        with pytest.raises(FileChanged):
            file.require_unchanged()
    assert SECRET not in str(found.values)
    assert SECRET.encode() not in document
    assert TITLE.encode() in document


@pytest.mark.skipif(not second_reader.is_available(), reason="exiftool is not installed")
def test_exiftool_reads_the_file_that_was_opened(
    photo: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = second_reader._read_together

    def swapped(photos: list[PhotoFile]) -> bool:
        put_link(photo, secret)
        return real(photos)

    monkeypatch.setattr(second_reader, "_read_together", swapped)
    with PhotoFile(photo) as file:
        second_reader.read_many([photo])
        reading = second_reader.reading_of(file)
    second_reader.forget()
    assert reading is not None
    assert TITLE.encode() in reading.xmp
    assert SECRET.encode() not in reading.everything


def test_links_are_refused_wherever_they_are(photo: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jpg"
    link.symlink_to(photo)
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)
    for path in (link, folder / "IMG.jpg", tmp_path):
        with pytest.raises(FileChanged):
            PhotoFile(path)


def test_without_openat2_no_link_is_followed_either(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.symlink_to(tmp_path)

    def unknown(*_: object) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(nofollow.linux_calls, "openat2", unknown)
    os.close(nofollow.open_nofollow(photo))
    with pytest.raises(NotADirectoryError):
        nofollow.open_nofollow(folder / "IMG.jpg")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604, 0o444])
def test_nobody_reads_a_sidecar_who_may_not_read_its_photo(photo: Path, secret: Path, mode: int) -> None:
    photo.chmod(mode)
    with PhotoFile(photo) as file:
        put_link(photo, secret)  # a link's own permissions are 0777
        sidecar = safe_writer.write_temporary(photo.with_name("IMG.jpg.xmp"), b"x", like=file.descriptor)
        assert stat.S_IMODE(sidecar.stat().st_mode) == mode | stat.S_IWUSR
        assert attributes.as_readable_as(0o664, file.status) & 0o444 == mode & 0o444
