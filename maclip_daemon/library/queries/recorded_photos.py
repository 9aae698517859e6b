"""What the library says of each photo and of its rating file, for `maclip db check --sidecars`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from maclip_daemon.library.storage import stored_paths
from maclip_daemon.library.storage.sql_views import ACTIVE_CONFIG, DECIDING_SCORE, RAW_AND_CALIBRATION


@dataclass(frozen=True)
class RecordedPhoto:
    """One photo that is not missing, as the library has it."""

    id: int
    path: str
    state: str
    """`waiting`, `scored` or `failed`."""
    rating_owner: str
    """`none`, `maclip` or `person`."""
    rating: int | None
    """-1 to 5, as the library last saw it in the photo's file."""
    stars_written: int | None
    """The rating that maclip last wrote and did not undo."""
    size: int
    """Bytes."""
    mtime_ns: int
    pixel_hash: str | None
    score: float | None
    """The score that decides its stars: of a JPEG that of the RAW of its shot."""
    is_waiting: bool
    """Whether a job of it is not done yet."""
    is_contested: bool
    """Whether another library rewrites its stars too."""
    partner_rating: int | None
    """A person's rating of another file of the same shot."""


@dataclass(frozen=True)
class JournalledFile:
    """A rating file that maclip wrote and did not undo: its last write."""

    path: str
    origin_path: str | None
    """Where it was written, if its photo was renamed since and the file perhaps was not."""
    after_hash: str
    photo_path: str | None
    """None: the photo is missing or forgotten."""
    is_forgotten: bool
    """Whether `maclip purge` has forgotten the photo."""


def recorded_photos(snapshot: sqlite3.Connection) -> list[RecordedPhoto]:
    """Return the photos that are not missing, in the order of their paths."""
    return [
        RecordedPhoto(number, stored_paths.join(folder, name), *rest)
        for number, folder, name, *rest in snapshot.execute(_PHOTOS)
    ]


def journalled_files(snapshot: sqlite3.Connection) -> list[JournalledFile]:
    """Return the rating files with a write that was not undone, in the order of their paths."""
    return [
        JournalledFile(
            stored_paths.restored(target),
            None if origin is None else stored_paths.restored(origin),
            after_hash,
            None if name is None or state == "missing" else stored_paths.join(folder, name),
            name is None,
        )
        for target, origin, after_hash, folder, name, state in snapshot.execute(_FILES)
    ]


def unconfirmed_files(snapshot: sqlite3.Connection) -> list[str]:
    """Return the files whose last write is prepared, and neither confirmed nor abandoned."""
    rows = snapshot.execute(
        "SELECT DISTINCT target_path FROM rating_journal WHERE state = 'intended' ORDER BY target_path"
    )
    return [stored_paths.restored(path) for (path,) in rows]


def photo_folders(snapshot: sqlite3.Connection) -> Iterator[str]:
    """Yield the folders in which photos are or were."""
    for (path,) in snapshot.execute("SELECT path FROM folders ORDER BY path").fetchall():
        yield stored_paths.restored(path)


def protocol(snapshot: sqlite3.Connection) -> str | None:
    """Return the protocol of the active scores; None before the first run."""
    row = snapshot.execute("SELECT protocol FROM scoring_configs WHERE active = 1").fetchone()
    return None if row is None else str(row[0])


_PHOTOS = f"""
SELECT p.id, f.path, p.file_name, p.state, p.rating_owner, p.rating_in_file, p.stars_written, p.size,
  p.mtime_ns, p.pixel_hash, {DECIDING_SCORE},
  EXISTS (SELECT 1 FROM jobs j WHERE j.photo_id = p.id AND j.state <> 'dead'), p.other_library IS NOT NULL,
  (SELECT other.rating_in_file FROM photo_pairs shot JOIN photos other
    ON other.id IN (shot.photo_id, shot.raw_id) AND other.id <> p.id
    WHERE p.id IN (shot.photo_id, shot.raw_id) AND other.rating_owner = 'person' LIMIT 1)
FROM photos p JOIN folders f ON f.id = p.folder_id
LEFT JOIN scores s ON s.photo_id = p.id AND s.scoring_config_id = {ACTIVE_CONFIG}
{RAW_AND_CALIBRATION}
WHERE p.state <> 'missing' ORDER BY f.path, p.file_name
"""
_FILES = """
SELECT j.target_path, j.origin_path, j.after_hash, f.path, p.file_name, p.state FROM rating_journal j
LEFT JOIN photos p ON p.id = j.photo_id LEFT JOIN folders f ON f.id = p.folder_id
WHERE j.id IN (SELECT max(id) FROM rating_journal WHERE state = 'written' GROUP BY target_path)
ORDER BY j.target_path
"""
