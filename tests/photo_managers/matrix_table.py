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


def cells() -> dict[tuple[str, str], str]:
    """Return the page's cells by row and situation."""
    found: dict[tuple[str, str], str] = {}
    lines = PAGE.read_text("utf-8").partition("## The matrix")[2].partition("\n## ")[0].splitlines()
    for line in lines:
        words = [word.strip().strip("`") for word in line.strip("|").split("|")]
        if line.startswith("| `") and len(words) == len(SITUATIONS) + 1:
            found.update({(words[0], name): cell for name, cell in zip(SITUATIONS, words[1:], strict=True)})
    return found
