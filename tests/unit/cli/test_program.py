"""The program put together: a command alone, or all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from maclip_daemon.cli.program import assembled


def commands(arguments: list[str]) -> list[str]:
    return list(typer.main.get_command(assembled(arguments)).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", commands([]))
def test_a_command_line_that_begins_with_a_command_has_that_command(name: str) -> None:
    chosen = commands([name, "--help"])
    assert name in chosen
    assert set(chosen) < set(commands([]))
    alone, beside_all = (
        CliRunner().invoke(app, [name, "--help"]).output for app in (assembled([name]), assembled())
    )
    assert alone == beside_all


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--config", "review", "status"], ["revew", "run"]])
def test_any_other_command_line_has_all(arguments: list[str]) -> None:
    assert commands(arguments) == commands([])


def test_a_mistyped_command_is_corrected_from_all() -> None:
    assert "'review'" in CliRunner().invoke(assembled(["revew"]), ["revew"]).output


def run(arguments: list[str], modules: Path | None = None) -> list[str]:
    """Return the modules that a command line loads; `modules`: a folder with further packages."""
    program = (
        f"import sys; sys.argv = ['maclip', *{arguments!r}]\n"
        "from maclip_daemon.__main__ import main\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "print(*sorted(sys.modules))"
    )
    environment = os.environ | ({} if modules is None else {"PYTHONPATH": os.fspath(modules)})
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1].split()


def test_a_command_loads_no_other() -> None:
    loaded = run(["pause", "--help"])
    assert "maclip_daemon.cli.background.pause_commands" in loaded
    assert "maclip_daemon.cli.service.service_commands" not in loaded


def test_no_package_brings_code_through_a_plugin_of_the_settings_library(tmp_path: Path) -> None:
    (tmp_path / "brought.py").write_text("plugin = None\n")
    metadata = tmp_path / "brought-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[pydantic]\nbrought = brought:plugin\n")
    loaded = run(["config", "show"], tmp_path)
    assert "pydantic.main" in loaded
    assert "brought" not in loaded
