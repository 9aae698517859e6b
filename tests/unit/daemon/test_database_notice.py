"""The notice of the daemon, also where its file cannot be written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maclip_daemon.daemon import database_notice

ANOTHER_PROCESS = (
    "import sys; from pathlib import Path; from maclip_daemon.daemon import database_notice;"
    " print(database_notice.read(Path(sys.argv[1])))"
)


def read_elsewhere(folder: Path) -> str:
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_notice_is_read_by_another_process_until_it_is_removed(tmp_path: Path) -> None:
    database_notice.put(tmp_path, "The disk is full.")
    assert read_elsewhere(tmp_path) == "The disk is full."
    database_notice.put(tmp_path, "")
    assert read_elsewhere(tmp_path) == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk here that is always full")
def test_a_notice_that_finds_no_room_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "daemon.notice").symlink_to("/dev/full")
    database_notice.put(tmp_path, "The disk is full.")
    assert read_elsewhere(tmp_path).startswith(f"The disk of {tmp_path} is full.")
    database_notice.put(tmp_path, "")
    assert read_elsewhere(tmp_path) == ""
