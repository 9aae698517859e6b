"""Photos whose stars another maclip library rewrites: two libraries watch one folder."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from maclip_daemon.library.storage import stored_paths


@dataclass(frozen=True)
class SharedFolder:
    """A watched folder in which another library rates photos too."""

    folder: str
    library_id: str
    """Of the other library, as it is in the files."""
    photo_count: int

    def sentence(self) -> str:
        """Return what is the matter, and what to do."""
        photos = "1 photo" if self.photo_count == 1 else f"{self.photo_count} photos"
        return (
            f"{self.folder}: another maclip library ({self.library_id}) also rates {photos} here, which keep"
            " its stars. Let one library alone watch this folder; if that is this one, `maclip adopt` then"
            " takes the stars over."
        )


def shared_folders(snapshot: sqlite3.Connection) -> list[SharedFolder]:
    """Return the watched folders with photos that another library rewrote, in path order."""
    rows = snapshot.execute(
        "SELECT r.path, p.other_library, count(*) FROM photos p JOIN folders f ON f.id = p.folder_id"
        " JOIN roots r ON r.id = f.root_id WHERE p.other_library IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [SharedFolder(stored_paths.restored(path), library, count) for path, library, count in rows]
