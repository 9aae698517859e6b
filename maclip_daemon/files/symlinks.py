"""Writes follow no symlinks, or a photo's stars would land outside of the watched folder.

Scans follow none either, so a known photo or folder that is a link was replaced since.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from maclip_daemon.errors import FileChanged


def require_no_links(folder: Path) -> None:
    """Raise `FileChanged` when a folder is a link, or is reached through one."""
    absolute = os.path.abspath(folder)
    if hasattr(os, "O_NOFOLLOW") and os.path.realpath(absolute) != absolute:
        raise FileChanged(f"{folder} is a symbolic link, or lies behind one; it is not followed.")


def require_regular_photo(photo: Path) -> None:
    """Raise `FileChanged` unless `photo` is a regular file, reached without links. Raises `OSError`."""
    require_no_links(photo.parent)
    if not stat.S_ISREG(photo.lstat().st_mode):
        raise FileChanged(f"{photo} is no longer a regular file; it is left alone.")
