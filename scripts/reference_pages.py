"""Write the reference and manual pages from the program itself, so that they stay true."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import man_pages
import tomlkit
import typer

from maclip_daemon.cli.program import assembled
from maclip_daemon.settings import Settings, setting_descriptions

DOCS = Path(__file__).parents[1] / "docs"

COMMANDS_HEAD = """# Commands

Every command has `--help` with the text below. `scripts/reference` writes this page from the program.

Exit codes: 0 done · 1 some photos failed, each is named · 2 wrong command · 3 the machine needs a
repair first, and the message says which · 75 maclip was updated meanwhile; start it again.
"""

CONFIGURATION_HEAD = """# Configuration

`maclip config init` writes a file with all of this, commented out; `maclip config path` says where it is;
`maclip config validate` checks it. Later sources win: defaults, the file, the environment
(`MACLIP_SECTION__KEY`), flags. A running daemon reads the file again on SIGHUP (`systemctl --user reload
maclip`), and keeps the old settings when the new ones are wrong. `scripts/reference` writes this page.
"""


def commands_page() -> str:
    """Lay out every command with its arguments and options."""
    lines = [COMMANDS_HEAD]
    for path, command in walk(typer.main.get_command(assembled()), ("maclip",)):
        lines += [f"\n## {' '.join(path)}\n" if len(path) > 1 else "\n## Global options\n"]
        lines.append(inspect.cleandoc(command.help or "") + "\n")
        rows = [row for parameter in command.params if (row := describe(parameter))]
        if rows:
            lines += ["| | |", "|---|---|", *rows, ""]
    return tidy(lines)


def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a command and its subcommands with their full names."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))


def describe(parameter: Any) -> str:
    """One table row for an argument or an option; nothing for those that every command has."""
    if parameter.name in man_pages.SHARED:
        return ""
    names = ", ".join(f"`{name}`" for name in parameter.opts if name.startswith("-"))
    names = names or f"`{man_pages.label(parameter)}`"
    text = f"{' '.join((parameter.help or '').split())}{man_pages.default_note(parameter)}"
    return f"| {names} | {text} |".replace("| |", "|  |")


def configuration_page() -> str:
    """Lay out every setting with its default, its environment variable and what it means."""
    defaults = Settings.model_construct().model_dump(mode="json")
    lines = [CONFIGURATION_HEAD]
    current = None
    for section, key, description in setting_descriptions():
        if section != current:
            lines += [
                f"\n## {f'[{section}]' if section else 'Top level'}\n",
                "| setting | default | what it does |",
            ]
            lines += ["|---|---|---|"]
            current = section
        value = defaults[section][key] if section else None
        default = "–" if value is None else f"`{tomlkit.item(value).as_string()}`"
        lines.append(f"| `{key}` | {default} | {' '.join(description.split())} |")
    lines += [
        "\n## Environment\n",
        "`MACLIP_DATA_DIR` sets the data folder; every other setting is `MACLIP_SECTION__KEY`, for example",
        "`MACLIP_RATING__MODE=off`. Lists are JSON: `MACLIP_FOLDERS__PATHS='[\"/photos\"]'`.",
    ]
    return tidy(lines)


def command_manual() -> str:
    """Lay out maclip(1)."""
    return man_pages.command_manual(walk(typer.main.get_command(assembled()), ("maclip",)))


def settings_manual() -> str:
    """Lay out maclip-config(5)."""
    defaults = Settings.model_construct().model_dump(mode="json")
    return man_pages.settings_manual(setting_descriptions(), defaults)


def tidy(lines: list[str]) -> str:
    """Join lines with at most one empty line between them."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": commands_page,
    "configuration.md": configuration_page,
    "man/maclip.1": command_manual,
    "man/maclip-config.5": settings_manual,
}


def main() -> int:
    """Write the pages, or with --check say which are stale."""
    stale = []
    for name, layout in PAGES.items():
        text = layout()
        page = DOCS / name
        if page.exists() and page.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv[1:]:
            page.write_text(text, "utf-8")
    if stale and "--check" in sys.argv[1:]:
        print(f"stale: {', '.join(stale)}; run scripts/reference", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
