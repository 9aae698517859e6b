"""darktable's own libraries: stars and edits of a photo that may exist nowhere else.

darktable keeps edits in its database alone while *write sidecar files* is off, and since version 5 also the
stars of photos without edits. It trusts a sidecar that appears later: on the next import they would be gone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import Transient
from maclip_daemon.files.paths import expanded
from maclip_daemon.library.storage import stored_paths

_TIMEOUT_S = 2.0  # darktable holds its lock for milliseconds
_STARS, _REJECTED = 7, 8  # bits of images.flags
_MOST_STARS = 5
_OLD_REJECTED = 6  # stars of a rejected photo before darktable 2.8
_IMAGES = """
SELECT i.id, i.flags, {timestamps} FROM film_rolls f CROSS JOIN images i ON i.film_id = f.id
WHERE f.folder = ? AND i.filename = ? ORDER BY i.version, i.id
"""
_SECONDS_AT_MOST = 100_000_000_000  # larger timestamps are microseconds since the year 1
_SECONDS_BEFORE_1970 = 62_135_596_800
_IMPORT_S = 1.5  # between the import of a photo and the write that belongs to it
_FOLDERS_ENDING = "SELECT folder FROM film_rolls WHERE substr(folder, -length(:ending)) = :ending"
# An image is edited when its history is not the one that darktable gives every new photo: the
# same comparison of hashes as in its own mark for altered images.
_EDITED = """
SELECT 1 FROM history_hash h WHERE h.imgid = ?
AND (h.current_hash IS NULL OR h.current_hash NOT IN (ifnull(h.basic_hash, ''), ifnull(h.auto_hash, '')))
"""
_HAS_HASH = "SELECT 1 FROM history_hash WHERE imgid = ?"
_HAS_HISTORY = "SELECT 1 FROM history WHERE imgid = ?"


@dataclass(frozen=True)
class DarktablePhoto:
    """What one of darktable's libraries holds of a photo."""

    library: Path
    rating: int
    """-1 (rejected) to 5; 0 without stars. Of the photo itself: duplicates have sidecars of their own."""
    is_edited: bool
    """Whether the photo or a duplicate of it has edits."""
    is_untouched: bool
    """Whether nobody changed the photo since darktable imported it, which darktable 5 records."""


def find_libraries(configured: Sequence[str], folders: Sequence[Path]) -> list[Path]:
    """Return darktable's databases, by the setting `rating.darktable_library`.

    `folders` are darktable's configuration folders, for `auto`. A workspace has a library of its own. Empty
    files are left out. A path of the setting that does not exist is kept, and so is one without a library in
    a folder that is empty, such as an unmounted one: reading it raises the error.
    """
    if "off" in configured:
        return []
    found: dict[Path, None] = {}
    for entry in configured:
        if entry == "auto":
            places = list(folders)
        else:
            path = expanded(entry).absolute()
            places = [path] if path.is_dir() else []
            if not places:
                found[path] = None
        for folder in places:
            libraries = [path for path in sorted(folder.glob("library*.db")) if _has_content(path)]
            if not libraries and entry != "auto" and not any(folder.iterdir()):
                libraries = [folder / "library.db"]
            found |= dict.fromkeys(libraries)
    return list(found)


def photos_in(
    libraries: Iterable[Path], photos: Iterable[str], is_same_folder: Callable[[str, str], bool]
) -> dict[str, list[DarktablePhoto]]:
    """Return what each library holds of these photos. Reads only, also beside a running darktable.

    darktable may know a folder under another path, through a symbolic link or a bind mount. `is_same_folder`
    is asked about two paths that end in the same name. Raises `Transient` when a database cannot be read.
    """
    wanted = list(photos)
    found: dict[str, list[DarktablePhoto]] = {}
    for library in libraries if wanted else ():
        try:
            with contextlib.closing(_connect(library)) as connection:
                opened = _OpenLibrary(library, connection, is_same_folder)
                for photo in wanted:
                    if (record := opened.find(photo)) is not None:
                        found.setdefault(photo, []).append(record)
        except sqlite3.Error:
            raise Transient(
                f"darktable's library {library} cannot be read, so it is not known which stars and edits "
                "only darktable has. Nothing is written. Close darktable and try again. If the library is an "
                "old copy, move it away, or name those that count in rating.darktable_library (off: none)."
            ) from None
    return found


def _connect(library: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{library.absolute().as_uri()}?mode=ro", uri=True, timeout=_TIMEOUT_S)


class _OpenLibrary:
    """One of darktable's libraries while it is read."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, is_same_folder: Callable[[str, str], bool]
    ) -> None:
        self._path = path
        self._connection = connection
        self._is_same_folder = is_same_folder
        self._names: dict[str, list[str]] = {}
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(images)")}
        has_timestamps = {"import_timestamp", "write_timestamp"} <= columns
        timestamps = "i.import_timestamp, i.write_timestamp" if has_timestamps else "NULL, NULL"
        self._images = _IMAGES.format(timestamps=timestamps)

    def find(self, photo: str) -> DarktablePhoto | None:
        """Return what the library holds of a photo, by whichever path darktable knows its folder."""
        folder, name = stored_paths.split(photo)
        for known in self._folder_names(folder):
            images = self._connection.execute(self._images, (known, _text(name))).fetchall()
            if images:
                is_edited = any(_is_edited(self._connection, each[0]) for each in images)
                _, flags, imported, written = images[0]
                return DarktablePhoto(self._path, _rating(flags), is_edited, _is_untouched(imported, written))
        return None

    def _folder_names(self, folder: str) -> list[str]:
        """Return the paths under which darktable knows a folder."""
        if folder not in self._names:
            own = dict.fromkeys(_text(each) for each in (folder, os.path.realpath(folder)))
            ending = _text(os.sep + os.path.basename(folder))  # noqa: PTH119 - surrogates
            alike = self._connection.execute(_FOLDERS_ENDING, {"ending": ending})
            others = [each for (each,) in alike if each not in own and self._is_same_folder(each, folder)]
            self._names[folder] = [*own, *others]
        return self._names[folder]


def _is_edited(connection: sqlite3.Connection, image: int) -> bool:
    if connection.execute(_HAS_HISTORY, (image,)).fetchone() is None:
        return False
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'history_hash'").fetchone():
        return True  # a library of darktable 2: any history may be an edit
    if connection.execute(_HAS_HASH, (image,)).fetchone() is None:
        return True
    return connection.execute(_EDITED, (image,)).fetchone() is not None


def _rating(flags: int) -> int:
    stars = flags & _STARS
    return -1 if flags & _REJECTED or stars == _OLD_REJECTED else min(stars, _MOST_STARS)


def _is_untouched(imported: int | None, written: int | None) -> bool:
    """Return whether darktable's last write of a photo was the one of its import.

    It updates `write_timestamp` (Unix seconds) with each star, also where it writes no sidecar.
    """
    if not imported or not written:
        return False
    if imported > _SECONDS_AT_MOST:
        imported_at = imported / 1e6 - _SECONDS_BEFORE_1970
    else:
        imported_at = float(imported)  # of darktable before 4.2
    return abs(written - imported_at) <= _IMPORT_S


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return True  # reading it names the problem


def _text(name: str) -> str:
    # darktable stores GLib's UTF-8 of a name; one that is no UTF-8 cannot be found there.
    return os.fsencode(name).decode("utf-8", "replace")
