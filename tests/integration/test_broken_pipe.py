"""A pipe that its reader closes early (`maclip … | head -1`) is no error: exit code 0."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("arguments", [("--version",), ("config", "init", "--print"), ("--help",)])
def test_a_closed_pipe_is_no_error(arguments: tuple[str, ...], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "maclip_daemon", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            env=os.environ | {"HOME": str(tmp_path)},
            timeout=120,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
