"""The contents that files had before and after our writes, as hashes."""

from __future__ import annotations

import os

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from maclip_daemon.library.storage.photo_paths import is_under
from maclip_daemon.library.storage.tables import JOURNAL


def hashes_beside(session: Session, folder: str) -> dict[str, set[str]]:
    """Return all hashes that the journal knows of the files directly in a folder, by file name."""
    known: dict[str, set[str]] = {}
    rows = session.execute(
        select(JOURNAL.c.target_path, JOURNAL.c.before_hash, JOURNAL.c.after_hash).where(
            or_(*is_under(JOURNAL.c.target_path, folder))
        )
    )
    for path, before, after in rows:
        if os.path.dirname(path) == folder:  # noqa: PTH120 - surrogates
            known.setdefault(os.path.basename(path), set()).update({before, after} - {None})  # noqa: PTH119
    return known
