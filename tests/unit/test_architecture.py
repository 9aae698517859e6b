"""The pages for contributors name files and functions that exist, and the house keeps its rules."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "maclip_daemon"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "versions" not in path.parts)
ARCHITECTURE = (PROJECT / "docs/architecture.md").read_text("utf-8")
STEPS = re.findall(r"^\| \d+ \| `([\w/.]+)` `([\w.]+)` \|", ARCHITECTURE, re.MULTILINE)
FILE_NAME = re.compile(r"`((?:maclip_daemon/)?[a-z_]+(?:/[a-z_0-9]+)*\.py)`")
LARGEST_FOLDER = 18  # files; a folder with more needs floors


def test_at_most_fifteen_functions_are_listed_for_a_photos_way() -> None:
    assert 10 <= len(STEPS) <= 15


@pytest.mark.parametrize(("file", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_listed_function_exists(file: str, name: str) -> None:
    body = ast.parse((PACKAGE / file).read_text("utf-8")).body
    for part in name.split("."):
        found = [
            node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
        ]
        assert found, f"{file} has no {name}"
        body = found[0].body


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/architecture.md", "docs/reliability.md"])
def test_files_named_in_the_pages_exist(page: str) -> None:
    named = set(FILE_NAME.findall((PROJECT / page).read_text("utf-8")))
    assert named
    roots = (PROJECT, PACKAGE, PROJECT / "tests")
    missing = [name for name in named if not any((root / name).exists() for root in roots)]
    assert missing == []


def test_no_two_modules_share_a_name() -> None:
    names = Counter(path.name for path in MODULES if path.name not in ("__init__.py", "__main__.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_two_public_types_share_a_name() -> None:
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []


def test_folders_stay_small_enough_to_read() -> None:
    sizes = Counter(path.parent for path in MODULES)
    assert {str(folder): size for folder, size in sizes.items() if size > LARGEST_FOLDER} == {}


def test_no_docstring_begins_with_give_or_say() -> None:
    guilty = [
        f"{path.name}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and re.match(r"(Gives?|Says?) ", ast.get_docstring(node) or "")
    ]
    assert guilty == []
