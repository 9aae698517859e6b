"""Compare database, sidecars and originals with the model; describe every difference."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.soak.model import Model, Photo, RowIdentity, Sidecar, digest_of, sidecar_of
from tests.faults.soak.sidecar_files import bytes_of, read_in_another_case, read_sidecar
from tests.homes import Home

SCORE_TOLERANCE = 2e-5  # the same pixels in a batch of another size
WRITTEN_TOLERANCE = SCORE_TOLERANCE + 1e-6  # a sidecar has six decimals
_ROWS = """
SELECT p.id, f.path, p.file_name, p.state, p.rating_owner, p.rating_in_file, p.rating_problem,
  (SELECT count(*) FROM scores s WHERE s.photo_id = p.id AND s.scoring_config_id = a.id),
  (SELECT s.score FROM scores s WHERE s.photo_id = p.id AND s.scoring_config_id = a.id),
  (SELECT s.scored_at FROM scores s WHERE s.photo_id = p.id AND s.scoring_config_id = a.id),
  (SELECT pair.raw_id FROM photo_pairs pair WHERE pair.photo_id = p.id)
FROM photos p JOIN folders f ON f.id = p.folder_id LEFT JOIN scoring_configs a ON a.active = 1
"""
_EDGES = """
SELECT two_stars_from, three_stars_from, four_stars_from, five_stars_from FROM calibrations
WHERE scoring_config_id = (SELECT id FROM scoring_configs WHERE active = 1) ORDER BY number DESC LIMIT 1
"""


class Row(NamedTuple):
    """A photo's row in the database."""

    id: int
    path: str
    state: str
    owner: str
    rating: int | None
    problem: str | None
    scores: int
    score: float | None
    scored_at: str | None
    raw: int | None
    """The id of the RAW of its shot, if its stars come from there."""


class Mismatch(NamedTuple):
    """One difference between the model and database or disk."""

    path: str
    what: str


def find_mismatches(model: Model, home: Home) -> list[Mismatch]:
    """Return every difference of database and disk from the model; empty when they agree."""
    if home.sql("SELECT count(*) FROM jobs WHERE state <> 'dead'") != [(0,)]:
        return [Mismatch("", "the queue is not empty")]
    rows = _rows(home)
    edges = next(iter(home.sql(_EDGES)), None)
    by_path, scores = {row.path: row for row in rows}, {row.id: row.score for row in rows}
    found = [*_row_mismatches(model, rows), *_pair_mismatches(model, by_path)]
    for path, photo in model.photos.items():
        row = by_path.get(path)
        if row is None:
            found.append(Mismatch(path, "is not in the database"))
        else:
            leading = scores.get(row.raw or row.id) or row.score
            stars = 1 + sum(leading >= edge for edge in edges) if edges and leading is not None else None
            found += [Mismatch(path, what) for what in _photo_mismatches(model, photo, row, stars, leading)]
    return found or list(_disk_mismatches(model))


def record_agreement(model: Model, home: Home) -> None:
    """Record the row ids and score times in the model: later rounds must keep them."""
    rows = _rows(home)
    model.rows = {row.id: row.path for row in rows}
    by_path = {row.path: row for row in rows}
    for path, photo in model.photos.items():
        row = by_path[path]
        if _may_have_another_row(model, photo):
            model.sidecar(path).is_from_another_photo = True
            photo.is_undone = True  # possibly: the model does not know whether that row was undone
        if model.may_succeed_undone(photo):
            photo.is_undone |= row.owner != "maclip"
        model.renames_kept += photo.kept == (row.id, row.scored_at) and photo.previous_path != path
        is_promised = row.scored_at is not None and not photo.is_linked and not photo.is_touched
        photo.kept = RowIdentity(row.id, row.scored_at or "") if is_promised else None
        photo.previous_path = path
        if photo.content.score is not None:  # a damaged file keeps the picture of before
            photo.former_pictures.clear()
        photo.has_replaced_another = photo.has_moved = False
        photo.sidecar_change = ""
    for photo in model.moved_out:
        if photo.kept and model.rows.get(photo.kept.row) not in (photo.previous_path, photo.moved_out_from):
            photo.kept = None  # a photo of the same picture took its row
    model.left = {path.removesuffix(".xmp") for path in _sidecars(model.root)} - model.photos.keys()
    model.left_sidecars += len(model.left & model.followed)
    model.since_agreement()


def _row_mismatches(model: Model, rows: list[Row]) -> Iterator[Mismatch]:
    """Yield rows of absent photos that are not `missing`, and deleted rows."""
    numbers, paths = {row.id for row in rows}, {row.path for row in rows}
    for row in rows:
        if row.state != "missing" and row.path not in model.photos:
            yield Mismatch(row.path, f"is {row.state} in the database, but not on the disk")
    for number, path in model.rows.items():
        if number in numbers or (model.has_purged and path not in model.photos):
            continue
        if _has_successor(model, path):
            continue
        if not _possible_paths(model, path) & paths:
            yield Mismatch(path, f"its row {number} was deleted")


def _has_successor(model: Model, path: str) -> bool:
    """Return whether a photo of the same picture may have taken over a deleted row, by its pixels."""
    names = _possible_paths(model, path)
    gone = {photo for name in names if (photo := model.gone.get(name))}
    pictures = set[str]().union(
        *(photo.pictures for photo in gone), *(model.departed.get(name, set()) for name in names)
    )
    others = {*model.photos.values(), *model.gone.values()} - gone
    return any(photo.pictures & pictures for photo in others)


def _possible_paths(model: Model, path: str) -> set[str]:
    """Return every path that a row of this path may have now."""
    names = {path}
    for old, new in model.renamed:
        names |= {new + name[len(old) :] for name in names if (name + os.sep).startswith(old + os.sep)}
    return names


def _may_have_another_row(model: Model, photo: Photo) -> bool:
    """Return whether the photo may have another photo's row, so that the owner of its stars is uncertain.

    While it was away, a new photo of the same picture may have taken its row, by its pixels. Or it took or
    lost a path, or was moved and changed, while the daemon was interrupted.
    """
    has_moved = photo.has_moved or photo.previous_path != photo.path
    if photo.kept and has_moved and _has_new_twin(model, photo):
        return True
    if not model.interruptions:
        return False
    names = _possible_paths(model, photo.previous_path) if photo.previous_path else set()
    was_taken = any(model.taken.get(name, set()) - {photo} for name in names - {photo.path})
    return photo.has_replaced_another or was_taken or (photo.has_moved and photo.kept is None)


def _has_new_twin(model: Model, photo: Photo) -> bool:
    """Return whether a photo of the same picture arrived in this round."""
    others = (*model.photos.values(), *model.gone.values())
    return any(
        other is not photo and other.kept is None and other.pictures & photo.pictures for other in others
    )


def _pair_mismatches(model: Model, rows: dict[str, Row]) -> Iterator[Mismatch]:
    for jpeg, raw in model.pairs:
        if (
            jpeg.content.score is None
            or raw.content.score is None
            or not {jpeg.path, raw.path} <= rows.keys()
        ):
            continue
        if rows[jpeg.path].raw != rows[raw.path].id:
            yield Mismatch(jpeg.path, f"does not follow {raw.path}")


def _photo_mismatches(
    model: Model, photo: Photo, row: Row, stars: int | None, leading: float | None
) -> Iterator[str]:
    score = photo.content.score
    if score is None:
        if row.state != "failed":
            yield f"is {row.state}, not failed"
        return
    if row.state != "scored" or row.scores != 1 or row.score is None:
        yield f"is {row.state} with {row.scores} scores, not scored with one"
        return
    if abs(row.score - score) > SCORE_TOLERANCE:
        yield f"has the score {row.score}, not the {score} of {photo.content.name}"
    is_kept = photo.kept in (None, (row.id, row.scored_at)) or _may_have_another_row(model, photo)
    if not is_kept:
        yield f"was only renamed from {photo.previous_path!r}, and {photo.kept} became {row}"
    if stars is not None and leading is not None:
        yield from _rating_mismatches(model, photo, row, stars, leading)


def _rating_mismatches(model: Model, photo: Photo, row: Row, stars: int, leading: float) -> Iterator[str]:
    path = sidecar_of(photo.path)
    person = model.sidecars.get(path, Sidecar())
    rated = person.rating if person.rating is not None else photo.embedded
    if person.frozen is not None and bytes_of(path) != person.frozen:
        # What maclip copied follows the photo; the rating stays.
        is_following = b"maclip:Seed" in person.frozen
        if not is_following or (read_sidecar(path) or {}).get("xmp:Rating") != str(person.rating):
            yield f"its sidecar with a person's {person.rating} stars was changed: {bytes_of(path)!r}"
    is_paired = any(photo in pair for pair in model.pairs)
    # A separated pair is noticed only at the next calibration, by name.
    is_uncertain = (
        person.is_from_another_photo or _may_have_another_row(model, photo) or photo.was_paired > is_paired
    )
    if photo.is_undone or model.may_succeed_undone(photo) or (is_uncertain and person.rating is None):
        return
    if _counts_for_another(photo, person, row):
        return
    if rated is not None:
        if (row.owner, row.rating) != ("person", rated) and not photo.is_unnoticed:
            yield f"a person gave {rated}, and the database says {row.owner} {row.rating}"
        return
    found = read_sidecar(path) or read_in_another_case(path)
    of_partner = _persons_rating_of_partner(model, photo)
    if of_partner is not None and (found or {}).get("xmp:Rating") in (None, str(of_partner)):
        return  # one verdict for both files of a shot
    if found is None:
        if not photo.is_unnoticed and not (photo.is_cut_off and row.owner == "person"):
            yield f"has no sidecar ({row.owner}, {row.problem})"
        return
    if person.label is not None and found.get("xmp:Label") != person.label:
        yield f"a person's {person.label} became {found.get('xmp:Label')}"
    if (found.get("xmp:Rating"), found.get("maclip:Stars")) != (str(stars), str(stars)):
        yield f"has {found} in its sidecar, not {stars} stars ({row.owner} {row.rating}, {row.problem})"
    elif abs(float(found["maclip:Score"]) - leading) > WRITTEN_TOLERANCE:
        yield f"has the score {found['maclip:Score']} in its sidecar, not {leading}"
    elif (row.owner, row.rating) != ("maclip", stars) and not photo.is_unnoticed:
        yield f"has our {stars} stars, and the database says {row.owner} {row.rating}"


def _counts_for_another(photo: Photo, person: Sidecar, row: Row) -> bool:
    """Return whether a rating in the photo itself rightly counts as another one's.

    One that equals maclip's in the sidecar says nothing new until other stars are due. What maclip had copied
    into its sidecar stays when the photo is overwritten by one without metadata.
    """
    if person.rating is not None:
        return False
    in_sidecar = (read_sidecar(sidecar_of(photo.path)) or {}).get("xmp:Rating")
    is_equal = photo.embedded is not None and (row.owner, row.rating) == ("maclip", photo.embedded)
    is_copy = photo.overwritten is not None and (row.owner, row.rating) == ("person", photo.overwritten)
    return (is_equal or is_copy) and in_sidecar == str(row.rating)


def _persons_rating_of_partner(model: Model, photo: Photo) -> int | None:
    """Return the rating that a person gave to the other file of the photo's shot.

    A file that came later under the name of a RAW or a JPEG makes a pair with what is there, too.
    """
    shot = os.path.splitext(photo.path)[0]  # noqa: PTH122 - the bytes of a name as they are
    named = (model.photos.get(shot + suffix) for suffix in (".dng", ".jpg"))
    paired = (other for pair in model.pairs if photo in pair for other in pair)
    for partner in (*named, *paired):
        if partner is None or partner is photo:
            continue
        beside = model.sidecars.get(sidecar_of(partner.path), Sidecar()).rating
        if (rating := partner.embedded if beside is None else beside) is not None:
            return rating
    return None


def _disk_mismatches(model: Model) -> Iterator[Mismatch]:
    """Yield changed or missing originals, incomplete or stray sidecars, and unexpected files."""
    moved_out = {photo.path for photo in model.moved_out}  # the trash folder lies within the root
    for path in _files(model.root):
        if path in model.photos:
            if digest_of(Path(path).read_bytes()) != model.photos[path].digest:
                yield Mismatch(path, "has other bytes than the user left")
        elif not path.endswith(".xmp") and path not in moved_out:
            yield Mismatch(path, "is an unexpected file")
    yield from (Mismatch(path, "is gone") for path in model.photos if not os.path.lexists(path))
    for path in _sidecars(model.root):
        photo = path.removesuffix(".xmp")
        if photo not in model.photos and photo not in model.left:
            yield Mismatch(path, "belongs to no known photo")
        elif read_sidecar(path) is None:
            yield Mismatch(path, "vanished while it was read")


def _rows(home: Home) -> list[Row]:
    return [
        Row(number, os.path.join(_path(folder), _path(name)), *rest)
        for number, folder, name, *rest in home.sql(_ROWS)
    ]


def _path(stored: Any) -> str:
    return os.fsdecode(stored) if isinstance(stored, bytes) else str(stored)


def _files(root: Path) -> list[str]:
    return [os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names]


def _sidecars(root: Path) -> list[str]:
    return [path for path in _files(root) if path.endswith(".xmp")]
