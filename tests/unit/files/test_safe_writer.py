from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from maclip_daemon.errors import FileChanged, NoSpace, ReadOnly, Transient, WriteRefused
from maclip_daemon.files import safe_writer, temporaries


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
        raise OSError(number, os.strerror(number), "/photos/a.jpg")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_what_a_server_refuses_on_an_opened_file_is_tried_again(number: int) -> None:
    with pytest.raises(Transient), safe_writer.translate_errors(Path("/photos/a.jpg")):
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


def test_a_share_without_extended_attributes_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.xmp").write_bytes(b"old")

    def none(*_: object, **__: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    for name in ("listxattr", "fchmod"):
        monkeypatch.setattr(os, name, none)
    temporary = safe_writer.write_temporary(tmp_path / "a.xmp", b"new", like=tmp_path / "a.xmp")
    assert temporary.read_bytes() == b"new"


@pytest.mark.parametrize(
    ("photo_mode", "folder_mode", "expected"),
    [(0o644, 0o2775, 0o664), (0o644, 0o2755, 0o644), (0o600, 0o2775, 0o600), (0o640, 0o2775, 0o600)],
)
def test_in_a_group_folder_the_group_may_write_a_sidecar_whose_owner_cannot_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo_mode: int, folder_mode: int, expected: int
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root rights to make another user's photo")
    photo = tmp_path / "a.jpg"
    photo.touch()
    os.chown(photo, 4242, 4242)
    photo.chmod(photo_mode)
    os.chown(tmp_path, 4242, 4300)
    tmp_path.chmod(folder_mode)
    change = os.fchown

    def as_another_user(descriptor: int, user: int, group: int) -> None:
        if user == 4242 or group == 4242:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        change(descriptor, user, group)

    monkeypatch.setattr(os, "fchown", as_another_user)
    temporary = safe_writer.write_temporary(tmp_path / "a.jpg.xmp", b"ours", like=photo)
    found = temporary.stat()
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (4300, expected)
