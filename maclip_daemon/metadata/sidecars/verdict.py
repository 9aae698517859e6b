"""Who rated a photo? All its sidecars, the photo itself and the other file of its shot are asked.

Programs read one of several places: darktable IMG.jpg.xmp before IMG.xmp, digiKam the one that its settings
name, Windows the photo. A person's rating in any of them counts, and our own ones follow it.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maclip_daemon.errors import MaclipError, Poison, Transient, WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.content.second_reader import SecondReadingNeeded
from maclip_daemon.metadata.records import NO_STARS, FoundRating, NameKind, RatingRequest
from maclip_daemon.metadata.sidecars import (
    first_star,
    ownership,
    read_metadata,
    shared_sidecar,
    sidecar_names,
    targets,
    write_proof,
)
from maclip_daemon.metadata.sidecars.read_metadata import PhotoMetadata
from maclip_daemon.metadata.sidecars.sidecar_names import NamedSidecar


@dataclass(frozen=True)
class RatedSidecar:
    """A sidecar of the photo with its metadata and rating."""

    metadata: PhotoMetadata
    kind: NameKind
    found: FoundRating


@dataclass(frozen=True)
class Verdict:
    """What a photo's files say about its rating."""

    sidecars: tuple[RatedSidecar, ...]
    """Those that are this photo's, in the order in which darktable takes them."""
    embedded: PhotoMetadata | None
    """The photo's own metadata; None where a sidecar decided without it."""
    found: FoundRating
    """The rating that counts: a person's, else that of the first sidecar, else the photo's."""
    refusal: str = ""
    """Why no stars may be written, where nobody rated the photo."""
    names: tuple[str, ...] = ()
    """The names of all sidecars that may be this photo's."""

    @property
    def is_all_ours(self) -> bool:
        """Return whether the sidecars hold nothing but our properties and what the photo holds."""
        return all(each.found.proof is not None and each.found.proof.is_whole for each in self.sidecars)

    @property
    def contradicting(self) -> RatedSidecar | None:
        """Return a sidecar whose rating is ours, or our copy, and differs from the person's; None without."""
        if self.found.owner != "person":
            return None
        wanted = self.found.rating or 0
        ours = (each for each in self.sidecars if each.found.owner == "maclip" or each.found.copied_from)
        return next((each for each in ours if each.found.rating != wanted), None)


def judge(file: PhotoFile, last_written: int | None, request: RatingRequest | None = None) -> Verdict:
    """Return who rated a photo, by all files that can tell.

    `request`: what is about to be written; None where the question is only who rated it. Raises
    `WriteRefused` for a file that cannot be read, `FileChanged`, `OSError`.
    """
    photo = file.path
    named = sidecar_names.find_all(photo)
    sidecars, refusal = _read_all(photo, named, last_written)
    if request is not None:
        sidecars = tuple(_if_replaceable(each, request) for each in sidecars)
    names = tuple(each.path.name for each in named)
    persons = [each.found for each in sidecars if each.found.owner == "person"]
    if pressed := [each for each in persons if not each.is_first_star and not each.copied_from]:
        return Verdict(sidecars, None, pressed[0], refusal, names)
    embedded = read_metadata.read_photo(file)
    found = next(iter([*persons, *(each.found for each in sidecars)]), None)
    inside = _embedded_rating(embedded, last_written, found, request)
    if found is None or inside.owner == "person":
        found = inside
    elif found.copied_from == "photo" and inside.rating == 0:
        found = replace(inside, owner="person")  # who took back there what we had copied
    if request is not None and (found.owner != "person" or found.copied_from == "file"):
        found = _rating_of_shot(found, sidecars, request)
    return Verdict(sidecars, embedded, found, refusal, names)


def inspect(photo: Path, last_written: int | None) -> FoundRating:
    """Return the rating of a photo. Raises `FileChanged` when it is gone, `Poison` for a bad sidecar."""
    try:
        with safe_writer.translate_errors(photo), PhotoFile(photo) as file:
            return judge(file, last_written).found
    except SecondReadingNeeded:
        raise
    except WriteRefused as refusal:
        raise Poison(str(refusal)) from None


def _read_all(
    photo: Path, named: Sequence[NamedSidecar], last_written: int | None
) -> tuple[tuple[RatedSidecar, ...], str]:
    """Read the sidecars that are this photo's; return them, and why it gets no stars in spite of them."""
    read: list[RatedSidecar] = []
    refusal = ""
    for each in named:
        _require_regular(each.path)
        if each.kind == "full":
            targets.refuse_name_of_a_duplicate(photo)
        metadata = read_metadata.read_sidecar(each.path)
        if each.kind == "stem":
            sharers = sidecar_names.listing_of(photo.parent).sharers_of(photo.name)
            claim = shared_sidecar.claim(photo, each.path, sharers, metadata.values)
            refusal = "" if read else claim.refusal
            if not claim.is_read:
                continue
        read.append(RatedSidecar(metadata, each.kind, read_metadata.rating_of(metadata, last_written)))
    if any(each.found.owner == "maclip" for each in read):
        read = [_ours_by_another_write(each) for each in read]
    return tuple(read), refusal


def _ours_by_another_write(file: RatedSidecar) -> RatedSidecar:
    """Count an unedited older write, in the other sidecar of a photo that we rated, as ours too."""
    found = file.found
    if found.owner != "person" or found.rating != found.stars:
        return file
    return replace(file, found=read_metadata.rating_of(file.metadata, found.stars))


def _if_replaceable(file: RatedSidecar, request: RatingRequest) -> RatedSidecar:
    """Count a rating that the person allowed to replace as nobody's."""
    found = file.found
    is_taken_away = found.owner == "person" and ownership.are_stars_taken_away(file.metadata.values)
    if (is_taken_away and request.may_replace == NO_STARS) or first_star.may_replace(found, request):
        return replace(file, found=replace(found, owner="none"))
    return file


def _embedded_rating(
    embedded: PhotoMetadata,
    last_written: int | None,
    beside: FoundRating | None,
    request: RatingRequest | None,
) -> FoundRating:
    """Return the rating in the photo itself; a person's only where it says more than the sidecar `beside` it.

    digiKam and Lightroom can write stars into a JPEG and leave its sidecar as it is. A rating that equals our
    own stars inside is an embedding from before the sidecar came. One that equals ours in the sidecar was
    copied from there, or does not matter, until other stars are to be written.
    """
    found = read_metadata.rating_of(embedded, last_written if beside is None else None)
    if found.owner != "person":
        return found
    is_ours = beside is not None and found.rating == found.stars
    is_copy = beside is not None and beside.owner == "maclip" and found.rating == beside.rating
    if is_copy and request is not None:
        is_copy = request.rating == found.rating
    if ownership.are_stars_taken_away(embedded.values):
        is_ours = is_ours or _is_of_another_photo(embedded, request)
        is_ours = is_ours or (request is not None and request.may_replace == NO_STARS)
    return replace(found, owner="none") if is_ours or is_copy else found


def _is_of_another_photo(embedded: PhotoMetadata, request: RatingRequest | None) -> bool:
    """Return whether an export carried the score of the photo from which it was made."""
    written_for = embedded.values.get(write_proof.PIXEL_HASH_KEY)
    return request is not None and written_for is not None and written_for != request.pixel_hash


def _rating_of_shot(
    found: FoundRating, sidecars: Sequence[RatedSidecar], request: RatingRequest
) -> FoundRating:
    """Return the rating of a photo whose own files hold no person's, or our copy of one.

    A person's rating in another file of the shot counts. One that is left in our copies alone was taken away
    where a sidecar says 0 that is not ours.
    """
    others = list(_found_in_partners(request))
    persons = [each for each in others if each.owner == "person" and not _is_replaceable(each, request)]
    if pressed := [each for each in persons if not each.copied_from]:
        return pressed[0]
    cleared = [each for each in (*(file.found for file in sidecars), *others) if each.is_cleared]
    is_copied = any(each.copied_from == "file" for each in (found, *persons))
    if cleared and is_copied and request.may_replace != NO_STARS:
        return replace(cleared[0], owner="person")
    return found if found.owner == "person" else next(iter(persons), found)


def _found_in_partners(request: RatingRequest) -> Iterator[FoundRating]:
    """Yield the ratings of the other files of the same shot; one that is gone or no photo has none.

    Raises `Transient` for one that cannot be read now: a person's rating may be in it.
    """
    for partner in request.partners:
        try:
            with PhotoFile(partner.photo) as file:
                found = judge(file, partner.last_written).found
        except SecondReadingNeeded:
            raise
        except (Poison, WriteRefused):
            continue
        except PermissionError:
            raise WriteRefused(
                f"{partner.photo} or its sidecar may not be read. It is of the same shot, and a rating of "
                "yours may be in it. Check its permissions, then run `maclip rate`."
            ) from None
        except (MaclipError, OSError):
            if not _may_be_photo(partner.photo):
                continue
            raise Transient(
                f"{partner.photo} or its sidecar cannot be read now. It is of the same shot, and a rating of "
                "yours may be in it."
            ) from None
        yield replace(found, owner="person") if partner.is_without_stars and found.is_cleared else found


def _may_be_photo(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _is_replaceable(found: FoundRating, request: RatingRequest) -> bool:
    is_allowed = not found.rating and request.may_replace == NO_STARS
    return is_allowed or first_star.may_replace(found, request)


def _require_regular(sidecar: Path) -> None:
    if not stat.S_ISREG(sidecar.lstat().st_mode):
        raise WriteRefused(
            f"{sidecar} is a symbolic link or not a regular file and is left alone. "
            "Put a regular file in its place to have the photo rated."
        )
