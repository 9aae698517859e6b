"""`maclip rate --over-first-stars`: rate photos whose only rating may be darktable's own first star.

The person's word makes the difference: nobody can tell darktable's star from a pressed one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.files.paths import with_path
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queue import rating_queue
from maclip_daemon.library.queue.rating_queue import ReplaceablePhoto
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.managers import darktablerc
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline.rating.darktable_check import FIRST_STAR, OVER_FIRST_STARS


@dataclass(frozen=True)
class LeftAlone:
    """A photo with darktable's initial rating that keeps it, and why."""

    path: str
    reason: str

    def sentence(self) -> str:
        """Return the photo and the reason, its path once."""
        return with_path(self.path, self.reason)


def photos(
    library: Library, writer: MetadataWriter, probe: FilesystemProbe, under: Sequence[str]
) -> Iterator[ReplaceablePhoto | LeftAlone]:
    """Yield the photos (below `under`, or all) that carry darktable's initial rating and nothing else.

    Their file is read anew: a photo that a person has rated since is not among them.
    """
    ratings = darktablerc.first_stars()
    with library.reading() as session:
        found = rating_queue.replaceable(session, ratings, FIRST_STAR, under)
    for photo in found:
        try:
            probe.ping(photo.path)
            rating = writer.inspect(Path(photo.path), photo.stars_written)
        except errors.MaclipError as error:
            yield LeftAlone(photo.path, str(error))
            continue
        is_unrated = rating.owner == "none" and photo.is_only_in_darktable
        if is_unrated or (rating.is_first_star and rating.rating in ratings):
            yield photo


def allow(library: Library, chosen: Sequence[ReplaceablePhoto], now: float) -> None:
    """Record that these photos may be rated, and queue them."""
    with library.writing() as session:
        rating_queue.allow_replacing(session, [photo.photo_id for photo in chosen], OVER_FIRST_STARS, now)
