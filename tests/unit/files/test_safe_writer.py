from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from maclip_daemon.errors import FileChanged, NoSpace, ReadOnly, Transient, WriteRefused
from maclip_daemon.files import safe_writer, temporaries


def no_links(*_: object) -> None:
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("links", [True, False])
def test_a_new_file_never_replaces_one_that_appeared_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:  # as on FAT and exFAT
        monkeypatch.setattr(os, "link", no_links)
    target = tmp_path / "a.xmp"
    temporary = safe_writer.write_temporary(target, b"ours", like=None)
    target.write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        safe_writer.create_exclusively(temporary, target)
    assert target.read_bytes() == b"theirs"
    target.unlink()
    safe_writer.create_exclusively(temporary, target)
    assert target.read_bytes() == b"ours"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EACCES, WriteRefused),
        (errno.EROFS, ReadOnly),
        (errno.ENOENT, FileChanged),
        (errno.EIO, Transient),
    ],
)
def test_errors_of_the_system_become_ours_and_name_the_path(number: int, kind: type[Exception]) -> None:
    with (
        pytest.raises(kind, match=r"/photos"),
        safe_writer.translate_errors(Path("/photos/a.jpg")),
    ):
        raise OSError(number, os.strerror(number))


def test_a_fifo_is_not_waited_for_and_a_link_is_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(WriteRefused, match="regular"):
        safe_writer.read_regular(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    with pytest.raises(OSError, match="symbolic links"):
        safe_writer.read_regular(tmp_path / "link")
    assert safe_writer.digest_of(tmp_path / "link") is None


def test_a_failed_temporary_file_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safe_writer.write_temporary(tmp_path / "a.xmp", b"x", like=tmp_path / "gone")
    assert not [path for path in tmp_path.iterdir() if temporaries.is_temporary(path.name)]
