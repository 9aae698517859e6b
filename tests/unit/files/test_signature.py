from __future__ import annotations

import os
from pathlib import Path

from maclip_daemon.files.signature import FileSignature


def signature(path: Path) -> FileSignature:
    return FileSignature.of(path.stat())


def test_a_file_that_is_written_or_replaced_has_another_signature(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    first = signature(path)
    os.utime(path, ns=(1, 1))
    written = signature(path)
    assert written != first
    other = tmp_path / "b.jpg"
    other.write_bytes(b"photo")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    assert signature(path) != written


def test_a_new_hard_link_or_new_permissions_leave_the_signature(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    first = signature(path)
    path.chmod(0o600)
    (tmp_path / "b.jpg").hardlink_to(path)
    assert signature(path) == first
