"""The matrix of docs/photo-managers.md: what each cell says is what its test must see."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "photo-managers.md"
SITUATIONS = (
    "fresh import",
    "star pressed",
    "star cleared",
    "edit",
    "title changed",
    "sidecar deleted",
    "moved",
    "undo",
)


class Row(NamedTuple):
    """One program with one setting; its words name the tests of its cells."""

    program: str
    version: str
    """`installed` or `today`."""
    setting: str

    @property
    def name(self) -> str:
        return " ".join(self)


DARKTABLE = [
    Row("darktable", version, setting)
    for version in ("installed", "today")
    for setting in ("never", "after edit", "on import")
]
DIGIKAM = [Row("digiKam", version, "mode 1") for version in ("installed", "today")]
LONG = [
    Row("digiKam", "today", "mode 1 compatible"),
    *(Row("digiKam", version, f"mode {mode}") for version in ("installed", "today") for mode in (0, 2, 3)),
    *(Row("digiKam", "today", f"mode {mode} compatible") for mode in (0, 2)),
]
"""Rows that only the long form tells (`--full`): a minute each."""


def cells() -> dict[tuple[str, str], str]:
    """Return the page's cells by row and situation."""
    found: dict[tuple[str, str], str] = {}
    lines = PAGE.read_text("utf-8").partition("## The matrix")[2].partition("\n## ")[0].splitlines()
    for line in lines:
        words = [word.strip() for word in line.strip("|").split("|")]
        words[0] = words[0].strip("`")
        if line.startswith("| `") and len(words) == len(SITUATIONS) + 1:
            found.update({(words[0], name): cell for name, cell in zip(SITUATIONS, words[1:], strict=True)})
    return found
