"""Whose rating each photo has: as the library recorded it, and as darktable's libraries know better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maclip_daemon.library.queries import darktable_library
from maclip_daemon.library.queries.rated_photos import RatedPhoto, rated_photos
from maclip_daemon.library.queries.rating_counts import Snapshot
from maclip_daemon.metadata.managers import darktablerc
from maclip_daemon.pipeline.rating.darktable_check import is_persons
from maclip_daemon.pipeline.rating.same_folders import SameFolders


def owners(snapshot: Snapshot, configured: Sequence[str], under: str | None = None) -> list[RatedPhoto]:
    """Return the photos (below the folder `under`) with their ratings.

    A person's stars that only darktable holds count as the rating. `configured`: the setting
    `rating.darktable_library`. Raises `Transient` when one of these libraries cannot be read.
    """
    photos = rated_photos(snapshot, under)
    libraries = darktable_library.find_libraries(configured, darktablerc.configuration_folders())
    asked = [photo.path for photo in photos if photo.rating_owner != "person"]
    known = darktable_library.photos_in(libraries, asked, SameFolders(patience_s=0.0))
    settings = {library: darktablerc.settings_of(library) for library in libraries}
    answered = []
    for photo in photos:
        persons = [
            each.rating
            for each in known.get(photo.path, ())
            if is_persons(each.rating, settings[each.library], photo.written)
        ]
        answered.append(replace(photo, rating=persons[0], rating_owner="person") if persons else photo)
    return answered
