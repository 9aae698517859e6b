"""The documentation says what the program does: every command, every setting, nothing stale."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from maclip_daemon.cli.program import assembled
from maclip_daemon.settings import setting_descriptions

PROJECT = Path(__file__).parents[2]
sys.path.append(str(PROJECT / "scripts"))  # the modules there import each other
PAGES = runpy.run_path(str(PROJECT / "scripts" / "reference_pages.py"))


def commands() -> list[tuple[str, ...]]:
    return [path for path, _ in PAGES["walk"](typer.main.get_command(assembled()), ("maclip",))][1:]


@pytest.mark.parametrize("name", PAGES["PAGES"])
def test_the_reference_pages_are_what_the_program_says(name: str) -> None:
    assert (PROJECT / "docs" / name).read_text("utf-8") == PAGES["PAGES"][name](), "run scripts/reference"


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
@pytest.mark.parametrize("page", sorted((PROJECT / "docs" / "man").iterdir()), ids=lambda page: page.name)
def test_man_shows_the_manual_pages_without_a_warning(page: Path) -> None:
    command = ["man", "--warnings=w", "--encoding=UTF-8", "--local-file", str(page)]
    environment = os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not done.stderr
    assert done.stdout.startswith(page.stem.upper())
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "`" not in done.stdout


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_explains_itself_and_all_it_takes(path: tuple[str, ...]) -> None:
    command = dict(PAGES["walk"](typer.main.get_command(assembled()), ("maclip",)))[path]
    assert command.help, f"{' '.join(path)} has no help"
    for parameter in command.params:
        assert parameter.name == "help" or parameter.help, f"{path}: {parameter.name} has no help"


def test_every_setting_is_described() -> None:
    for section, key, description in setting_descriptions():
        assert description, f"{section}.{key} has no description"


def test_the_readme_names_every_command() -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")
    for path in commands():
        if len(path) == 2:
            assert f"maclip {path[1]}" in readme, " ".join(path)


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md"), PROJECT / "service" / "README.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_a_new_configuration_file_is_valid_and_changes_nothing(tmp_path: Path) -> None:
    def maclip(*arguments: str) -> str:
        environment = {"MACLIP_DATA_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": ""}
        command = [sys.executable, "-m", "maclip_daemon", "--config", f"{tmp_path}/config.toml", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    maclip("config", "init")
    written = (tmp_path / "config.toml").read_text("utf-8")
    shown = maclip("config", "show")
    assert "valid" in maclip("config", "validate")
    uncommented = re.sub(r"(?m)^# (\w+ = )", r"\1", written)
    (tmp_path / "config.toml").write_text(uncommented, "utf-8")
    assert maclip("config", "show") == shown
