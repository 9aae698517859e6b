"""The lock on files, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maclip_daemon.processes import landlock

PROGRAM = """
import sys
from maclip_daemon.processes import landlock

landlock.restrict(dict.fromkeys(sys.argv[2:], landlock.READ))
for path in sys.argv[1:]:
    try:
        open(path).close()
        print("opened")
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
def test_a_folder_that_cannot_be_opened_leaves_no_other_open(tmp_path: Path) -> None:
    """As a share whose server has died: its error is none of those of a missing path."""
    (tmp_path / "loop").symlink_to("loop")
    for name in ("secret", "allowed"):
        (tmp_path / name).write_text("x")
    names = [str(tmp_path / name) for name in ("secret", "loop", "allowed")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["PermissionError", "OSError", "opened"]
