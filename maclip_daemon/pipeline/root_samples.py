"""A few photos by which a root is recognised."""

from __future__ import annotations

import os

from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Session

SAMPLED_PHOTOS = 8  # known photos that are looked for when a root has another device id


def sample(session: Session, root: str, device: int | None) -> list[str]:
    """A few photos that should be there; missing ones only where all are, as of a root that was away.

    `device`: the root's, if it is known; what is mounted below the root says nothing about it.
    """
    present: list[str] = []
    missing: list[str] = []
    for folder in photo_paths.folders_under(session, root):
        for name, file in photo_paths.known_in_folder(session, folder).items():
            if device is not None and file.state != "missing" and file.device != device:
                continue
            (missing if file.state == "missing" else present).append(os.path.join(folder, name))
        if len(present) >= SAMPLED_PHOTOS:
            break
        del missing[SAMPLED_PHOTOS:]
    return (present or missing)[:SAMPLED_PHOTOS]
