"""Paths as text: as people type them, as messages show them, and one below another.

They stay strings: scans compare millions of them, and bytes that are not UTF-8 travel as surrogates.
"""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Expand a leading `~` or `~name`; a name that nobody has, as in `~x.jpg`, is a file's name.

    `Path.expanduser` raises `RuntimeError` for it.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111


def is_below(path: str, folder: str) -> bool:
    """Return whether `path` lies in `folder` at any depth, or is that folder."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def relative_to(root: str, path: str) -> str:
    """Return the part of `path` below `root`, with `/` between names; '' for the root itself."""
    below = path[len(root) :].strip(os.sep)
    return below if os.sep == "/" else below.replace(os.sep, "/")


def printable(text: str) -> str:
    """Escape control characters, so that a file name fits one line; bytes that are not UTF-8 stay."""
    return "".join(
        character if character.isprintable() or _is_surrogate(character) else repr(character)[1:-1]
        for character in text
    )


def printable_utf8(path: str | os.PathLike[str]) -> str:
    """Escape control characters, and bytes that are not UTF-8, which neither SQLite nor JSON can hold."""
    return printable(os.fspath(path).encode("utf-8", "backslashreplace").decode("utf-8"))


def _is_surrogate(character: str) -> bool:
    return "\udc80" <= character <= "\udcff"


def with_path(path: str | os.PathLike[str], reason: str) -> str:
    """Return a sentence about a file that names its path once."""
    return reason if os.fspath(path) in reason else f"{os.fspath(path)}: {reason}"
