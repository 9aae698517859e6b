"""Lay out the manual pages maclip(1) and maclip-config(5) from the program's own texts, in man(7)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomlkit

from maclip_daemon import __version__

CITATION = Path(__file__).parents[1] / "CITATION.cff"

SHARED = ("help", "install_completion", "show_completion")
"""Parameters that are described nowhere: every command has the first."""

EXIT_STATUS = (
    ("0", "Done."),
    ("1", "Some photos failed or were left alone; each is named."),
    ("2", "The command is wrong as it was typed."),
    ("3", "This machine needs a repair first; the message says which."),
    ("75", "maclip was updated meanwhile; start it again."),
)

FILES = (
    ("`~/.config/maclip/config.toml`", "Settings; `maclip config path` prints it. See maclip-config(5)."),
    (
        "`~/.local/share/maclip`",
        "The database with scores and journal, models and backups; `maclip db path` prints it.",
    ),
    ("`IMG.jpg.xmp`", "A sidecar with stars beside each photo; `maclip undo` takes maclip's part out again."),
)


def command_manual(commands: Iterable[tuple[tuple[str, ...], Any]]) -> str:
    """Return maclip(1): every command with its arguments and options."""
    (_, program), *others = commands
    lines = heading("maclip", 1)
    lines += [".SH NAME", r"maclip \- score the quality of photos and write star ratings beside them"]
    lines += [".SH SYNOPSIS", r".B maclip", r"[\fIoptions\fR] \fIcommand\fR [\fIarguments\fR]"]
    lines += [".SH DESCRIPTION", *paragraphs(program.help), *options(program), ".SH COMMANDS"]
    for path, command in others:
        lines += [f".SS {roff(' '.join(path))}", rf"\fB{roff(' '.join(path))}\fR {usage(command)}".rstrip()]
        lines += [".PP", *paragraphs(command.help), *options(command)]
    lines += [".SH EXIT STATUS", *entries((f"`{code}`", text) for code, text in EXIT_STATUS)]
    lines += [".SH FILES", *entries(FILES)]
    lines += [".SH SEE ALSO", r".BR maclip\-config (5)"]
    return "\n".join(lines) + "\n"


def settings_manual(rows: Iterable[tuple[str, str, str]], defaults: dict[str, Any]) -> str:
    """Return maclip-config(5): every setting, with its default and what it means."""
    lines = heading("maclip-config", 5)
    lines += [".SH NAME", r"maclip\-config \- settings of maclip", ".SH DESCRIPTION"]
    lines += paragraphs(
        "`maclip config init` writes a file with all of this, commented out; `maclip config path` prints "
        "where it is. Later sources win: defaults, the file, the environment (`MACLIP_SECTION__KEY`), "
        "options of the command line. A running daemon reads the file again on SIGHUP."
    )
    current = None
    for section, key, description in rows:
        if section != current:
            lines.append(f".SH {roff(f'[{section}]')}" if section else ".SH TOP LEVEL")
            current = section
        value = defaults[section][key] if section else None
        default = "" if value is None else f" (default: `{tomlkit.item(value).as_string()}`)"
        lines += entries([(f"`{key}`", f"{description}{default}")])
    return "\n".join([*lines, ".SH SEE ALSO", ".BR maclip (1)"]) + "\n"


def heading(name: str, section: int) -> list[str]:
    """Return a page's first lines; its date is that of the release."""
    released = re.search(r"(?m)^date-released: (\S+)$", CITATION.read_text("utf-8"))
    date = released[1] if released else ""
    # Left-aligned and without hyphenation: paths and options stay whole.
    return [f'.TH "{name.upper()}" "{section}" "{date}" "maclip {__version__}"', ".nh", ".ad l"]


def usage(command: Any) -> str:
    """Return the arguments of a command as in a synopsis."""
    words = [r"[\fIoptions\fR]"] if any(is_option(parameter) for parameter in command.params) else []
    if getattr(command, "commands", None):
        words.append(r"\fIcommand\fR")
    words += [rf"\fI{roff(label(parameter))}\fR" for parameter in command.params if not is_option(parameter)]
    return " ".join(words)


def options(command: Any) -> list[str]:
    """Return the entries of a command's arguments and options."""
    described = [parameter for parameter in command.params if parameter.help and parameter.name not in SHARED]
    return entries(
        (f"`{label(parameter)}`", f"{parameter.help}{default_note(parameter)}") for parameter in described
    )


def is_option(parameter: Any) -> bool:
    """Tell options from arguments."""
    return bool(parameter.opts[0].startswith("-"))


def label(parameter: Any) -> str:
    """Return an option's names, or an argument's name as `--help` shows it."""
    if is_option(parameter):
        return ", ".join(parameter.opts)
    return str(parameter.metavar or parameter.name.upper()).replace("[", "").replace("]", "")


def default_note(parameter: Any) -> str:
    """Return the default in brackets, where it says something."""
    default, shown = parameter.default, getattr(parameter, "show_default", None)
    said = shown if isinstance(shown, str) else default if shown is not False else None
    plain = isinstance(said, str | int | float) and not isinstance(said, bool) and said not in ("", 0)
    return f" (default: {getattr(said, 'value', said)})" if plain else ""


def entries(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return tagged paragraphs."""
    return [line for tag, text in rows for line in (".TP", roff(tag), roff(" ".join(text.split())))]


def paragraphs(text: str) -> list[str]:
    """Return a help text's paragraphs."""
    blocks = re.split(r"\n\s*\n", inspect.cleandoc(text))
    lines: list[str] = []
    for block in blocks:
        lines += [*([".PP"] if lines else []), roff(" ".join(block.split()))]
    return lines


def roff(text: str) -> str:
    """Escape a line, and set what is between backticks in bold."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("^", r"\(ha")
    escaped = escaped.replace("~", r"\(ti").replace('"', r"\(dq")
    escaped = re.sub(r"\*\*(.+?)\*\*", r"\\fB\1\\fR", escaped)
    escaped = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", escaped)
    return escaped if not escaped.startswith(".") else rf"\&{escaped}"
