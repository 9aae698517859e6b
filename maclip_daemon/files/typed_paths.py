"""Paths as people type them: a leading `~` is a home folder."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | os.PathLike[str]) -> Path:
    """Expand a leading `~` or `~name`; a name that nobody has, as in `~x.jpg`, is a file's name.

    `Path.expanduser` raises `RuntimeError` for it.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111
