"""What only darktable's libraries know: a person's stars and edits that no sidecar holds.

A new sidecar ends such edits, and maclip's stars hide such stars. So darktable is asked before any file is
written.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.library.queries import darktable_library
from maclip_daemon.library.queries.darktable_library import DarktablePhoto
from maclip_daemon.library.results import written_ratings
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.managers import darktablerc
from maclip_daemon.metadata.managers.darktablerc import DarktableSettings
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import FoundRating, Prepared
from maclip_daemon.pipeline.rating.same_folders import SameFolders

Result = Prepared | errors.MaclipError

EDITED = (
    "darktable keeps its edits of {photo} in its library only, and would drop them for a new sidecar. Select "
    "the photo in darktable, use 'write sidecar files', then run `maclip rate`."
)
FIRST_STAR = (
    "In darktable it has the rating that darktable itself gives to new photos, and nothing tells whether "
    "it is yours. To have it rated: `maclip rate --over-first-stars`."
)
SLOW_FOLDER_S = 60.0  # a folder that darktable knows may turn out to be ours so long after it fell silent

OVER_FIRST_STARS = "first_stars"
"""The value of `photos.may_replace` for a person who lets maclip rate over darktable's first star."""


@dataclass(frozen=True)
class CheckedPhoto:
    """A photo whose prepared write is checked."""

    photo_id: int | None
    """None: the library does not know it."""
    last_written: int | None
    """The rating last written by maclip and not undone."""
    may_replace_first_star: bool = False
    """Whether the person let maclip rate over darktable's first star."""


class DarktableCheck:
    """The question to darktable's libraries, before prepared ratings are committed."""

    def __init__(
        self,
        library: Library,
        writer: MetadataWriter,
        configured: Sequence[str],
        patience_s: float = SLOW_FOLDER_S,
    ) -> None:
        """Ask the libraries that `configured` selects, the setting `rating.darktable_library`.

        `patience_s`: see `SameFolders`; 0 for whoever tries only once.
        """
        self._library = library
        self._writer = writer
        self._configured = configured
        self._is_same_folder = SameFolders(patience_s)

    def apply(self, results: Sequence[Result], photos: Sequence[CheckedPhoto]) -> list[Result]:
        """Return the results; those that darktable's libraries forbid become `person` or `skipped`.

        What was prepared for them is discarded. While a library cannot be read, each write becomes its
        `Transient` error.
        """
        asked = {str(each.photo) for each in results if isinstance(each, Prepared) and _writes(each)}
        folders = darktablerc.configuration_folders()
        libraries = darktable_library.find_libraries(self._configured, folders) if asked else []
        if not libraries:
            return list(results)
        try:
            known = darktable_library.photos_in(libraries, asked, self._is_same_folder)
            settings = {library: darktablerc.settings_of(library) for library in libraries if known}
        except errors.Transient as problem:
            return [self._or_error(result, problem) for result in results]
        if not known:
            return list(results)
        with self._library.reading() as session:
            numbers = [photo.photo_id for photo in photos if photo.photo_id is not None]
            written = written_ratings.ratings_written(session, numbers)
        return [
            self._checked(result, photo, known.get(str(result.photo), []), settings, written)
            if isinstance(result, Prepared) and _writes(result)
            else result
            for result, photo in zip(results, photos, strict=True)
        ]

    def _or_error(self, result: Result, problem: errors.Transient) -> Result:
        if not isinstance(result, Prepared) or result.status != "prepared":
            return result
        self._writer.discard(result)
        return problem

    def _checked(
        self,
        result: Prepared,
        photo: CheckedPhoto,
        known: Sequence[DarktablePhoto],
        settings: Mapping[Path, DarktableSettings],
        written: Mapping[int, Collection[int]],
    ) -> Prepared:
        verdict = result
        earlier = () if photo.photo_id is None else written.get(photo.photo_id, ())
        ours = set(earlier) | _stars_in_file(result.found)
        persons = [each for each in known if _is_persons(each, settings[each.library], result, photo, ours)]
        if persons:
            stars = result.found.stars if result.found else None
            found = FoundRating("person", persons[0].rating, stars, persons[0].library, None)
            verdict = replace(result, status="person", found=found, reason="a person rated it in darktable")
        elif result.created and any(each.is_edited for each in known):
            verdict = replace(result, status="skipped", reason=EDITED.format(photo=result.photo))
        elif not photo.may_replace_first_star and any(
            _may_be_first_star(each, settings[each.library], result, ours) for each in known
        ):
            verdict = replace(result, status="skipped", reason=FIRST_STAR)
        if verdict is not result and result.status == "prepared":
            self._writer.discard(result)
        return verdict


def is_persons(rating: int, settings: DarktableSettings, ours: Collection[int]) -> bool:
    """Return whether a person gave a rating that one of darktable's libraries holds.

    `ours`: the ratings that maclip has written for this photo. darktable may have read one of them.
    """
    return rating not in {0, settings.first_star, *ours}


def _is_persons(
    known: DarktablePhoto, settings: DarktableSettings, result: Prepared, photo: CheckedPhoto, ours: set[int]
) -> bool:
    if photo.may_replace_first_star and result.found is not None and result.found.is_first_star:
        return known.rating not in {settings.first_star, *ours}
    if _is_in_file(settings, result):
        return False
    # darktable removes the sidecar of a photo without edits whose stars a person takes away.
    was_taken_away = result.created and photo.last_written is not None and settings.initial_rating > 0
    return (known.rating == 0 and was_taken_away) or is_persons(known.rating, settings, ours)


def _may_be_first_star(
    known: DarktablePhoto, settings: DarktableSettings, result: Prepared, ours: set[int]
) -> bool:
    """Return whether a person may have given darktable's own first star, on a photo that nothing else rates.

    Nobody did where nothing happened to the photo since its import.
    """
    if known.is_untouched or _is_in_file(settings, result) or known.rating in {0, *ours}:
        return False
    is_unrated = result.found is None or result.found.owner == "none"
    return is_unrated and known.rating == settings.first_star


def _is_in_file(settings: DarktableSettings, result: Prepared) -> bool:
    """Return whether the sidecar holds what darktable knows: darktable wrote it, and goes on doing so."""
    return result.found is not None and result.found.by_darktable and settings.keeps_sidecars_current


def _stars_in_file(found: FoundRating | None) -> set[int]:
    """Return maclip's stars in the file, which another library of maclip may have written."""
    return set() if found is None or found.stars is None else {found.stars}


def _writes(result: Prepared) -> bool:
    return result.status in ("prepared", "unchanged")
