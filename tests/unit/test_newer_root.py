"""The root with today's photo managers: only a whole one counts, and the message names the next command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "photo_managers" / "newer_root"


def newer_root(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NEWER_ROOT": str(root), "SUITE": "sid"}
    return subprocess.run(
        [SCRIPT, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("arguments", [("path",), ("versions",), ("run", "darktable")])
def test_a_root_that_was_not_built_to_its_end_is_not_used(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    done = newer_root(tmp_path, *arguments)
    assert done.returncode == 3
    assert "tests/photo_managers/newer_root build" in done.stderr


def test_a_whole_root_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "maclip-tests.versions").write_text("darktable 9.9\n")
    assert newer_root(tmp_path, "path").stdout == f"{tmp_path}\n"
    assert newer_root(tmp_path, "versions").stdout == "darktable 9.9\n"
    assert newer_root(tmp_path, "build").stdout == "darktable 9.9\n"
    assert newer_root(tmp_path, "build", "30").stdout == "darktable 9.9\n"


def test_without_a_command_it_explains_itself(tmp_path: Path) -> None:
    done = newer_root(tmp_path)
    assert done.returncode == 2
    assert "newer_root build" in done.stdout
