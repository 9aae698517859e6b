"""The way to a file: no link on it is followed, or a photo's stars would land outside of the watched folder.

Scans follow no links, so what the library knows was reached without any. A folder, or a photo, that is a link
by now was put there since.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from maclip_daemon.errors import FileChanged


def require_no_links(folder: Path) -> None:
    """Raise `FileChanged` when a folder is a link, or is reached through one."""
    place = os.path.abspath(folder)
    if hasattr(os, "O_NOFOLLOW") and os.path.realpath(place) != place:
        raise FileChanged(f"{folder} is a link by now, or lies behind one, and is not followed.")


def require_regular_photo(photo: Path) -> None:
    """Raise `FileChanged` when there is no regular file, or a link on the way to it; `OSError`."""
    require_no_links(photo.parent)
    if not stat.S_ISREG(photo.lstat().st_mode):
        raise FileChanged(f"{photo} is a link or no file by now, and is left alone.")
