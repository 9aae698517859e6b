"""Whether the disk of a photo is there, where a file of it is not: an empty mount point has none either."""

from __future__ import annotations

import os
from pathlib import Path

from maclip_daemon.folders import root_health


def is_present(photo: str, device: int | None) -> bool:
    """Return whether the photo is there, or its folder without it; may wait for a file server.

    An empty folder on another file system than `device`, the number of the photo's as last seen, is taken for
    a mount point. None: not known, and nothing tells.
    """
    if os.path.lexists(photo) or device is None:
        return True
    folder = Path(photo).parent
    try:
        return not root_health.is_empty(str(folder)) or folder.stat().st_dev == device
    except OSError:
        return False


def device_of(path: str) -> int | None:
    """Return the device of the nearest folder above `path` that exists; None where it cannot be read."""
    for folder in Path(path).parents:
        try:
            return os.stat(folder).st_dev  # noqa: PTH116 - surrogates
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None
