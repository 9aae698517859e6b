"""Take over ratings that are provably maclip's (`maclip adopt`): of a lost library, or of another one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from maclip_daemon.errors import MaclipError
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import known_ratings
from maclip_daemon.library.photos.known_ratings import KnownRating
from maclip_daemon.library.results import journal_adoption
from maclip_daemon.library.storage.database import Library
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import FoundRating, WriteProof
from maclip_daemon.pipeline.rating import adoption, moved_photos
from maclip_daemon.pipeline.rating.adoption import RatedFile

BATCH_PHOTOS = 32  # that share a transaction

Adopted = Literal["adopted", "known", "person", "unproven", "another_photo", "unrated", "failed"]


@dataclass(frozen=True)
class AdoptResult:
    """What became of the rating of one photo."""

    path: str
    outcome: Adopted
    stars: int | None = None
    reason: str = ""
    """Why it was not taken over; empty where there is nothing to take over."""


def adopt(
    library: Library,
    writer: MetadataWriter,
    probe: FilesystemProbe,
    photo_ids: Sequence[int],
    now: float,
    *,
    without_proof: bool = False,
    dry_run: bool = False,
) -> Iterator[AdoptResult]:
    """Take over the ratings of these photos that are maclip's; yield what became of each.

    With a proof in the file it is certain. `without_proof` also takes over files of earlier versions, where
    the rating equals the stars that maclip noted beside it.
    """
    for start in range(0, len(photo_ids), BATCH_PHOTOS):
        batch = photo_ids[start : start + BATCH_PHOTOS]
        if not dry_run:
            moved_photos.follow(library, probe, batch)
        with library.reading() as session:
            known = known_ratings.known_ratings(session, batch)
        found = [(each, _inspect(writer, probe, each)) for each in known]
        files = [
            RatedFile(each.photo_id, Path(each.path), _with_proof(result))
            for each, result in found
            if isinstance(result, FoundRating) and _judge(each, result, without_proof) == "adopted"
        ]
        adoptable = adoption.examine(library, probe, files)
        if not dry_run and files:
            with library.writing() as session:
                for file in files:
                    if file.photo_id in adoptable:
                        adoption.take(session, adoptable[file.photo_id], now)
                    elif file.found.rating is not None:  # the library may have called it a person's
                        journal_adoption.record_owner(session, file.photo_id, file.found.rating)
        for each, result in found:
            yield _result(each, result, without_proof, is_new=each.photo_id in adoptable)


def _inspect(writer: MetadataWriter, probe: FilesystemProbe, known: KnownRating) -> FoundRating | MaclipError:
    try:
        probe.ping(known.path)
        return writer.inspect(Path(known.path), known.stars_written)
    except MaclipError as error:
        return error


def _judge(known: KnownRating, found: FoundRating, without_proof: bool) -> Adopted:
    """Return whose a rating is; `adopted`: maclip's, whether the journal has it or not."""
    proof = found.proof
    if proof is not None and found.owner == "maclip":
        of_another = None not in (proof.pixel_hash, known.pixel_hash) and proof.pixel_hash != known.pixel_hash
        return "another_photo" if of_another else "adopted"
    if found.owner == "maclip":
        return "known"
    if found.owner == "none":
        return "unrated"
    if found.rating and found.rating == found.stars:
        return "adopted" if without_proof else "unproven"
    return "person"


def _with_proof(found: FoundRating) -> FoundRating:
    """Return a rating of an earlier version as if it had a proof: a person has vouched for it."""
    if found.proof is not None:
        return found
    assert found.rating is not None
    return replace(found, owner="maclip", proof=WriteProof(found.rating, None, None, is_whole=False))


def _result(
    known: KnownRating, found: FoundRating | MaclipError, without_proof: bool, *, is_new: bool
) -> AdoptResult:
    if isinstance(found, MaclipError):
        return AdoptResult(known.path, "failed", reason=str(found))
    outcome = _judge(known, found, without_proof)
    if outcome == "adopted" and not is_new:
        outcome = "known"
    return AdoptResult(known.path, outcome, found.rating, _REASONS.get(outcome, ""))


_REASONS: dict[Adopted, str] = {
    "person": "a person gave this rating",
    "unproven": "it has no proof, as in versions before 0.3, but equals the stars that maclip noted beside"
    " it; `--without-proof` takes it over",
    "another_photo": "its stars were given to another photo of this name; the next run rates it anew",
}


def summary(counts: dict[Adopted, int], *, dry_run: bool) -> str:
    """Return in one sentence how many ratings came to each outcome, or would."""
    parts = []
    for outcome, words in _SUMMARY.items():
        if count := counts.get(outcome, 0):
            parts.append(f"{count} {words}")
    if not parts:
        return "No rated photo was found."
    return ("This would be the result: " if dry_run else "") + ", ".join(parts) + "."


_SUMMARY: dict[Adopted, str] = {
    "adopted": "taken over",
    "known": "known already",
    "person": "of your own left alone",
    "unproven": "without a proof left alone",
    "another_photo": "of another photo left alone",
    "failed": "could not be read",
}
