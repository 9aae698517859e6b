"""Large blocks of pixels in files."""

import stat
from pathlib import Path

import pytest

from maclip_daemon.errors import NoSpace
from maclip_daemon.photos import spool


def test_blocks_are_written_for_this_user_only(tmp_path: Path) -> None:
    path = spool.new_path(tmp_path)
    spool.write(path, [b"one", b"two"])
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_an_earlier_run_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    assert spool.clean(folder) == 0
    spool.write(spool.new_path(folder), [b"x"])
    (folder / "letter.txt").write_text("mine")
    assert spool.clean(folder) == 1
    assert [path.name for path in folder.iterdir()] == ["letter.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    real_open = os.open
    monkeypatch.setattr(os, "open", lambda path, flags, mode: real_open("/dev/full", os.O_WRONLY))
    path = spool.new_path(tmp_path)
    with pytest.raises(NoSpace, match="Free some space"):
        spool.write(path, [b"x" * 100_000])
    assert not path.exists()
