from __future__ import annotations

import os
from pathlib import Path

from maclip_daemon.files import temporaries


def test_every_new_name_is_hidden_recognised_and_different(tmp_path: Path) -> None:
    names = {temporaries.new_path(tmp_path).name for _ in range(50)}
    assert len(names) == 50
    assert all(name.startswith(".maclip-") and temporaries.is_temporary(name) for name in names)


def test_only_old_regular_files_of_exactly_our_pattern_are_removed(tmp_path: Path) -> None:
    ours = tmp_path / ".maclip-0123456789abcdef.tmp"
    fresh = tmp_path / ".maclip-1123456789abcdef.tmp"
    ahead = tmp_path / ".maclip-4123456789abcdef.tmp"
    link = tmp_path / ".maclip-2123456789abcdef.tmp"
    folder = tmp_path / ".maclip-3123456789abcdef.tmp"
    foreign = [
        tmp_path / name
        for name in (".maclip-notes.tmp", ".maclip-0123456789abcdef.tmp.jpg", "x.maclip-0123456789abcdef.tmp")
    ]
    for path in (ours, fresh, ahead, *foreign):
        path.write_bytes(b"x")
    link.symlink_to(ours)
    folder.mkdir()
    for path in (ours, *foreign):
        os.utime(path, (1000, 1000))
    os.utime(fresh, (3000, 3000))
    os.utime(ahead, (90_000, 90_000))  # from before the clock was set back
    assert sorted(temporaries.remove_strays(tmp_path, older_than=2000)) == [ours, ahead]
    assert all(path.exists() for path in (fresh, folder, *foreign))
    assert link.is_symlink()


def test_a_folder_that_is_gone_has_no_strays(tmp_path: Path) -> None:
    assert temporaries.remove_strays(tmp_path / "gone", older_than=1e12) == []


def test_by_the_time_of_change_a_file_whose_time_was_set_back_is_young(tmp_path: Path) -> None:
    """As undo sets the time of the file that it is about to put back."""
    at_work = temporaries.new_path(tmp_path)
    at_work.touch()
    os.utime(at_work, (1000, 1000))
    now = at_work.stat().st_ctime
    assert temporaries.remove_strays(tmp_path, older_than=now - 60, by_change=True) == []
    assert temporaries.remove_strays(tmp_path, older_than=now + 60, by_change=True) == [at_work]
