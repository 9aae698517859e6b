"""A configuration folder of darktable with libraries, as far as maclip reads them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

IMPORTED_S = 1_795_895_123
IMPORTED = (IMPORTED_S + 62_135_596_800) * 1_000_000  # microseconds since the year 1


class DarktableHome:
    """A configuration folder of darktable, whose libraries hold what the test says."""

    def __init__(self, folder: Path, photos: Path) -> None:
        self.folder = folder
        self.photos = photos
        folder.mkdir(parents=True)
        self.set("ui_last/import_initial_rating=1")

    def set(self, *lines: str) -> None:
        (self.folder / "darktablerc").write_text("\n".join(lines) + "\n")

    def library(self, name: str = "library.db", *, is_old: bool = False) -> Path:
        path = self.folder / name
        if not path.exists():
            with contextlib.closing(sqlite3.connect(path)) as connection:
                connection.executescript(
                    "create table film_rolls (id, folder);"
                    "create table images (id integer primary key, film_id, filename, version, flags,"
                    " import_timestamp, write_timestamp);"
                    "create table history (imgid);"
                )
                if not is_old:
                    connection.execute(
                        "create table history_hash (imgid, basic_hash, auto_hash, current_hash)"
                    )
                connection.execute("insert into film_rolls values (1, ?)", (str(self.photos),))
                connection.commit()
        return path

    def add(
        self,
        name: str,
        flags: int,
        history: str | None = None,
        library: Path | None = None,
        *,
        touched_s: float | None = None,
    ) -> None:
        """Record a photo.

        `history`: the hash of its history. `touched_s`: seconds from the import to the last change, as
        darktable 5 records them.
        """
        path = library or self.library()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            versions = "select count(*) from images where filename = ?"
            (version,) = connection.execute(versions, (name,)).fetchone()
            added = connection.execute(
                "insert into images (film_id, filename, version, flags, import_timestamp, write_timestamp)"
                " values (1, ?, ?, ?, ?, ?)",
                (name, version, flags, IMPORTED, None if touched_s is None else IMPORTED_S + touched_s),
            )
            if history is not None:
                connection.execute("insert into history values (?)", (added.lastrowid,))
                row = (added.lastrowid, "basic", "auto", history)
                with contextlib.suppress(sqlite3.OperationalError):  # of darktable 2
                    connection.execute("insert into history_hash values (?, ?, ?, ?)", row)
            connection.commit()
