"""darktable's own library: which photos have edits that exist nowhere else?

With its option *write sidecar file* off, darktable keeps edits in its database alone. It trusts a
sidecar that appears later: on the next import the edits would be gone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from maclip_daemon.errors import Transient
from maclip_daemon.files.paths import expanded
from maclip_daemon.library.storage import stored_paths

_TIMEOUT_S = 2.0  # darktable holds its lock for milliseconds
# An image is edited when its history is not the one that darktable gives every new photo: the
# same comparison of hashes as in its own mark for altered images.
_EDITED = """
SELECT 1 FROM images i JOIN film_rolls f ON f.id = i.film_id
LEFT JOIN history_hash h ON h.imgid = i.id
WHERE f.folder = ? AND i.filename = ? AND EXISTS (SELECT 1 FROM history WHERE imgid = i.id)
AND (h.current_hash IS NULL OR h.current_hash NOT IN (ifnull(h.basic_hash, ''), ifnull(h.auto_hash, '')))
"""


def find_library(configured: str) -> Path | None:
    """Return darktable's database, by the setting `rating.darktable_library`; None where there is none."""
    if configured == "off":
        return None
    if configured != "auto":
        return expanded(configured)
    configuration = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    found = Path(configuration) / "darktable" / "library.db"
    return found if found.is_file() else None


def edited_photos(library: Path, photos: Iterable[str]) -> set[str]:
    """Return those of the photos that darktable has edits of. Reads only, also beside a running darktable.

    Raises `Transient` when the database cannot be read.
    """
    try:
        with contextlib.closing(
            sqlite3.connect(f"{library.absolute().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)
        ) as connection:
            return {photo for photo in photos if _is_edited(connection, photo)}
    except sqlite3.Error as error:
        raise Transient(
            f"darktable's library {library} cannot be read ({error}), so it is not known whether it holds "
            "edits that a new sidecar would end. Set rating.darktable_library to its path, or to off."
        ) from None


def _is_edited(connection: sqlite3.Connection, photo: str) -> bool:
    """Look the photo up by its name, and by the name without symbolic links."""
    folder, name = stored_paths.split(photo)
    return any(
        connection.execute(_EDITED, (_text(each), _text(name))).fetchone()
        for each in {folder, os.path.realpath(folder)}
    )


def _text(name: str) -> str:
    # darktable stores GLib's UTF-8 of a name; one that is no UTF-8 cannot be found there.
    return os.fsencode(name).decode("utf-8", "replace")
