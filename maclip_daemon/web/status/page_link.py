"""The link to the status page, for `maclip status`: in a file that only its owner can read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def put(data_dir: Path, link: str) -> None:
    """Write the link; where that fails, the page can still be reached by its address for the metrics."""
    with contextlib.suppress(OSError):
        remove(data_dir)
        descriptor = os.open(_path(data_dir), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(link)


def read(data_dir: Path) -> str:
    """Return the link, or an empty text. It counts only while a daemon runs."""
    try:
        return _path(data_dir).read_text("utf-8").strip()
    except (OSError, UnicodeError):
        return ""


def remove(data_dir: Path) -> None:
    """Remove the link."""
    with contextlib.suppress(OSError):
        _path(data_dir).unlink(missing_ok=True)


def _path(data_dir: Path) -> Path:
    return data_dir / "status-page"
