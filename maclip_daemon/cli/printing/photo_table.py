"""A list of photos on a terminal: a line each, paths below the watched folder, links that open them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import is_below, printable, relative_to

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

    from maclip_daemon.library.queries.photo_rows import PhotoRow

HEADINGS = {"score": "right", "percentile": "right", "stars": "left", "photo": "left"}
_BETWEEN = 2  # columns between two cells
_LEFT_OUT = "…"


def cells(row: PhotoRow) -> tuple[str, str, str]:
    """Return score, percentile and stars: the person's own where they rated it."""
    mine = row.my_stars
    stars = output.stars(row.stars) if mine is None else f"{output.stars(mine) or 'none'} (you)"
    return output.number(row.score, 4), output.number(row.percentile, 1), stars


def show(
    title: str,
    rows: Sequence[PhotoRow],
    roots: Sequence[str],
    below: Callable[[PhotoRow], RenderableType] | None = None,
    console: Console | None = None,
) -> None:
    """Print photos on a terminal, no line longer than it is wide; `below`: what stands under each line."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = console or Console(highlight=False)
    common = _common_root([row.path for row in rows], roots)
    first = [cells(row) for row in rows]
    headings = list(HEADINGS)
    widths = [
        max(cell_len(text) for text in column) for column in zip(*first, tuple(headings[:3]), strict=True)
    ]
    left = console.width - sum(widths) - _BETWEEN * len(headings)
    where = f" in {printable(common)}" if common else ""
    console.print(Text(f"{title}{where}", style="italic"), no_wrap=True, overflow="ellipsis")
    console.print(_line(Text(headings[-1], "bold"), headings[:3], widths, "bold"))
    for row, texts in zip(rows, first, strict=True):
        shown = Text(
            shortened(_shown(row.path, common, roots), left), style=f"link {Path(row.path).as_uri()}"
        )
        console.print(_line(shown, texts, widths), no_wrap=True, overflow="crop", soft_wrap=True)
        if below is not None:
            console.print(below(row))


def shortened(path: str, width: int) -> str:
    """Return a path that takes at most `width` columns: the end of it, where the name is."""
    from rich.cells import cell_len

    text = printable(path)
    if cell_len(text) <= width:
        return text
    names = text.split("/")
    for start in range(1, len(names)):
        tail = f"{_LEFT_OUT}/{'/'.join(names[start:])}"
        if cell_len(tail) <= width:
            return tail
    name = names[-1]
    while name and cell_len(name) > width - 1:
        name = name[1:]
    return f"{_LEFT_OUT}{name}"


def _line(photo: Text, texts: Sequence[str], widths: Sequence[int], style: str = "") -> Text:
    from rich.text import Text

    line = Text(" " * _BETWEEN)
    for text, width, justify in zip(texts, widths, HEADINGS.values(), strict=False):
        padded = f"{text:>{width}}" if justify == "right" else f"{text:<{width}}"
        line.append(padded + " " * _BETWEEN, style)
    return line.append_text(photo)


def _common_root(paths: Sequence[str], roots: Sequence[str]) -> str:
    """Return the watched folder that holds all the photos; '' where they are in several."""
    around = (root for root in roots if all(is_below(path, root) for path in paths))
    return max(around, key=len, default="")


def _shown(path: str, common: str, roots: Sequence[str]) -> str:
    if common:
        return relative_to(common, path)
    names = [os.path.basename(root) for root in roots]  # noqa: PTH119 - strings of any bytes
    root = max((each for each in roots if is_below(path, each)), key=len, default="")
    if not root or len(set(names)) < len(names):
        return path
    return f"{os.path.basename(root)}/{relative_to(root, path)}"  # noqa: PTH119
