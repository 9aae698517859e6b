"""A version is the same wherever it is written."""

from __future__ import annotations

import re
from pathlib import Path

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
