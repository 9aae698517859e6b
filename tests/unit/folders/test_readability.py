"""A disk that cannot be read is told from files that cannot."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from maclip_daemon.folders.readability import lost_because


def test_a_file_that_can_be_read_clears_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert lost_because([str(tmp_path / "a")]) == ""
    assert lost_because([]) == ""


def test_files_that_are_gone_or_no_files_say_nothing_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert lost_because([str(tmp_path / "gone"), str(tmp_path / "folder")]) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="a file whose reading always fails is one of /proc")
def test_input_output_errors_are_the_disks_unless_another_file_can_be_read(tmp_path: Path) -> None:
    broken = "/proc/self/mem"  # its first page is mapped nowhere: EIO
    assert lost_because([broken]) == "Input/output error"
    (tmp_path / "a").write_bytes(b"x")
    assert lost_because([broken, str(tmp_path / "a")]) == ""
    assert lost_because([*[broken] * 3, str(tmp_path / "a")]) == "Input/output error", (
        "it does not try for ever"
    )
