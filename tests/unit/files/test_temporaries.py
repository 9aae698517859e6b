from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from maclip_daemon.files import temporaries


def test_every_new_name_is_hidden_recognised_and_different(tmp_path: Path) -> None:
    names = {temporaries.new_path(tmp_path).name for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith(".maclip-") and temporaries.is_temporary(name) for name in names)


def test_only_old_regular_files_of_exactly_our_pattern_are_removed(tmp_path: Path) -> None:
    ours = tmp_path / ".maclip-0123456789abcdef.tmp"
    link = tmp_path / ".maclip-2123456789abcdef.tmp"
    folder = tmp_path / ".maclip-3123456789abcdef.tmp"
    foreign = [
        tmp_path / name
        for name in (".maclip-notes.tmp", ".maclip-0123456789abcdef.tmp.jpg", "x.maclip-0123456789abcdef.tmp")
    ]
    for path in (ours, *foreign):
        path.write_bytes(b"x")
    link.symlink_to(ours)
    folder.mkdir()
    later = time.time() + 60
    assert temporaries.remove_strays(tmp_path, older_than=later, now=later) == [ours]
    assert all(path.exists() for path in (folder, *foreign))
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("older_than_s", "now_s", "is_removed"),
    [
        (-60, 0, False),
        (60, 60, True),
        (-7200, 0, False),  # a daemon that has run for two hours; the file is of a write at work
        (-8 * 365 * 86_400, 0, False),  # and one that began before the clock was right
        (-7200, -7200, True),  # the clock was set back since the file was written
    ],
)
def test_a_temporary_file_is_a_stray_by_its_time_of_change(
    tmp_path: Path, older_than_s: float, now_s: float, is_removed: bool
) -> None:
    path = temporaries.new_path(tmp_path)
    path.touch()
    os.utime(path, (1000, 1000))  # as undo sets the time of the file that it is about to put back
    changed_at = path.stat().st_ctime
    removed = temporaries.remove_strays(
        tmp_path, older_than=changed_at + older_than_s, now=changed_at + now_s
    )
    assert removed == ([path] if is_removed else [])


def test_a_folder_that_is_gone_has_no_strays(tmp_path: Path) -> None:
    assert temporaries.remove_strays(tmp_path / "gone", older_than=1e12, now=1e12) == []
