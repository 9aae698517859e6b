"""Only regular files are read, and only whole ones."""

import os
import socket
from pathlib import Path

import pytest

from maclip_daemon.errors import FileChanged, Poison, Transient
from maclip_daemon.photos.regular_file import opened


def read(path: Path) -> bytes:
    with opened(os.fspath(path)) as file:
        return file.read()


def test_a_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"two\nlines.jpg", b"-rf %s.jpg", b"x" * 251 + b".jpg"):
        path = tmp_path / os.fsdecode(name)
        path.write_bytes(b"pixels")
        assert read(path) == b"pixels"


def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(Poison, match="named pipe"):
        read(tmp_path / "x.jpg")


def test_links_folders_sockets_and_devices_are_refused_by_their_kind(tmp_path: Path) -> None:
    (tmp_path / "target.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "target.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
        for name, kind in (("link", "symbolic link"), ("folder", "folder"), ("socket", "socket")):
            with pytest.raises(Poison, match=kind):
                read(tmp_path / f"{name}.jpg")
    with pytest.raises(Poison, match="device"):
        read(Path("/dev/zero"))


def test_no_link_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "outside" / "deeper").mkdir(parents=True)
    (tmp_path / "outside" / "deeper" / "x.jpg").write_bytes(b"x")
    (tmp_path / "inside").symlink_to(tmp_path / "outside")
    assert read(tmp_path / "outside" / "deeper" / "x.jpg") == b"x"
    with pytest.raises(FileChanged, match="gone"):
        read(tmp_path / "inside" / "deeper" / "x.jpg")


def test_a_file_that_is_gone_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(FileChanged):
        read(tmp_path / "gone.jpg")


def test_a_file_that_changes_or_vanishes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"half")
    with pytest.raises(FileChanged), opened(os.fspath(path)):
        path.write_bytes(b"half and half")
    (tmp_path / "new").write_bytes(b"another one")
    with pytest.raises(FileChanged), opened(os.fspath(path)):
        (tmp_path / "new").replace(path)
    with pytest.raises(FileChanged), opened(os.fspath(path)):
        path.unlink()


def test_damage_in_a_file_that_changed_counts_as_a_change(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"half")
    with pytest.raises(FileChanged), opened(os.fspath(path)):
        find_damage_in(path)


def find_damage_in(path: Path) -> None:
    path.write_bytes(b"half and half")
    raise Poison("cut off")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(b"x")
    path.chmod(0)
    with pytest.raises(Transient, match="read permission"):
        read(path)
