"""A version is the same wherever it is written."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import maclip_daemon

PROJECT = Path(__file__).parents[2]


def test_the_changelog_and_the_citation_name_this_version_and_its_date() -> None:
    newest = re.search(r"^## (\S+) \((\S+)\)$", (PROJECT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    version, date = newest.groups()
    assert version == maclip_daemon.__version__
    citation = (PROJECT / "CITATION.cff").read_text("utf-8")
    assert f"version: {version}\n" in citation
    assert f"date-released: {date}\n" in citation


def locked_releases() -> dict[str, list[str]]:
    """Return the releases in requirements.txt by package name; several where platforms differ."""
    text = (PROJECT / "requirements.txt").read_text("utf-8")
    releases: dict[str, list[str]] = {}
    for name, release in re.findall(r"^([\w.-]+)==([^ ;\\]+)", text, re.MULTILINE):
        releases.setdefault(canonicalize_name(name), []).append(release)
    return releases


def test_the_locked_releases_are_those_that_pyproject_allows() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    locked = locked_releases()
    for text in project["dependencies"] + project["optional-dependencies"]["development"]:
        wanted = Requirement(text)
        releases = locked.get(canonicalize_name(wanted.name), [])
        assert releases, f"{wanted.name} is not in requirements.txt: run scripts/lock"
        assert all(wanted.specifier.contains(release) for release in releases), wanted


def test_every_locked_release_has_hashes_and_no_server_is_named() -> None:
    text = (PROJECT / "requirements.txt").read_text("utf-8")
    entries = re.split(r"\n(?=[\w.-]+==)", text)
    assert sum(len(releases) for releases in locked_releases().values()) == len(entries)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "index-url" not in text
