"""Output of commands: rich tables on a terminal, plain aligned text in a pipe, JSON and CSV on request."""

from __future__ import annotations

import csv
import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from maclip_daemon.files.paths import printable

_PIPE_WIDTH = 10_000  # columns; a line in a pipe is never wrapped


def say(text: str = "", *, error: bool = False) -> None:
    """Print one line without markup."""
    print(text, file=sys.stderr if error else sys.stdout)


def say_under(label: str, text: str) -> None:
    """Print a text beside its label. On a terminal its further lines begin below the first."""
    lines = [text]
    if sys.stdout.isatty():
        width = max(20, shutil.get_terminal_size().columns - len(label))
        lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    say(("\n" + " " * len(label)).join([label + lines[0], *lines[1:]]))


def print_table(title: str, columns: Mapping[str, str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headings. `columns` maps each heading to its justification, `left` or `right`."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else _PIPE_WIDTH, highlight=False, soft_wrap=not terminal)
    table = Table(
        title=title if terminal else None,
        title_justify="left",
        box=box.SIMPLE_HEAD if terminal else None,
        pad_edge=terminal,
        header_style="bold" if terminal else "",
    )
    for heading, justify in columns.items():
        table.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in row))
    if terminal:
        console.print(table)
    else:
        with console.capture() as captured:
            console.print(table)
        for line in captured.get().splitlines():
            print(line.rstrip())


def print_json(value: object) -> None:
    """Print one JSON document on one line. Invalid UTF-8 in names becomes escapes."""
    print(json.dumps(value, ensure_ascii=True, default=str))


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows as CSV with a heading line (RFC 4180, with plain newlines)."""
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)


def stars(count: int | None) -> str:
    """Return stars as text."""
    if count is None:
        return "–"
    return "rejected" if count < 0 else "★" * count


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with a fixed count of digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def count(number: int, noun: str) -> str:
    """Return a count with its noun, in the plural where it belongs."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
