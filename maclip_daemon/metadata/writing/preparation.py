"""The first phase of a write: decide which file gets the rating, and have its new content prepared."""

from __future__ import annotations

from dataclasses import replace

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.content.second_reader import SecondReadingNeeded
from maclip_daemon.metadata.content.xmp_text import Wanted
from maclip_daemon.metadata.records import CopySource, FoundRating, Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import (
    maclip_properties,
    read_metadata,
    seed,
    targets,
)
from maclip_daemon.metadata.sidecars.verdict import Verdict, judge
from maclip_daemon.metadata.writing import new_content, seed_update


def prepare(request: RatingRequest) -> Prepared:
    """Prepare one write. The temporary file is not flushed yet.

    A photo that is left alone on purpose is a result too, with whose rating it has as far as that was found.
    Raises `NoSpace`, `FileChanged`, `Transient`.
    """
    found = None
    try:
        with safe_writer.translate_errors(request.photo), PhotoFile(request.photo) as file:
            verdict = judge(file, request.last_written, request)
            found = verdict.found
            return _prepare(request, file, verdict)
    except SecondReadingNeeded:
        raise
    except WriteRefused as refusal:
        return Prepared(request.photo, "skipped", request.rating, reason=str(refusal), found=found)


def _prepare(request: RatingRequest, file: PhotoFile, verdict: Verdict) -> Prepared:
    found = verdict.found
    result = Prepared(
        request.photo,
        "person",
        request.rating,
        found=found,
        target=found.source,
        photo_signature=file.signature,
        beside=verdict.names,
    )
    if found.owner == "person":
        return _follow(request, file, verdict, result)
    if verdict.refusal:
        raise WriteRefused(verdict.refusal)
    if verdict.sidecars:
        return _keep_in_step(request, file, verdict, result)
    assert verdict.embedded is not None
    return _begin(request, file, verdict.embedded, result)


def _follow(request: RatingRequest, file: PhotoFile, verdict: Verdict, result: Prepared) -> Prepared:
    """Bring a sidecar of ours in step with a person's rating found elsewhere; it would hide that one."""
    ours = verdict.contradicting
    if ours is None:
        return _follow_photo(request, file, verdict, result)
    safe_writer.require_writable(ours.metadata.source)
    rating = verdict.found.rating or 0
    source: CopySource = "photo" if verdict.found.source == request.photo else "file"
    wanted = maclip_properties.following(rating, ours.metadata.values, source)
    # Whether undo can go back to the sidecar's earlier bytes depends on whose stars the sidecar held.
    of_sidecar = replace(result, found=ours.found, target=ours.metadata.source)
    changed = new_content.change(request, file, ours.metadata, ours.metadata, wanted, of_sidecar)
    return replace(changed, rating=rating, owner="person", found=verdict.found)


def _follow_photo(request: RatingRequest, file: PhotoFile, verdict: Verdict, result: Prepared) -> Prepared:
    """Renew what a sidecar that a person rated copied from the photo; it would hide the photo's new title."""
    left = replace(result, reason="a person rated this photo")
    for sidecar in verdict.sidecars:
        present = sidecar.metadata
        followed = seed_update.follow(present, file, verdict.embedded)
        if followed is not None and followed.has_changed:
            safe_writer.require_writable(present.source)
            wanted: Wanted = {seed.SEED_KEY: list(followed.seed.items())}
            changed = new_content.change(request, file, present, followed.content, wanted, left)
            return replace(changed, rating=verdict.found.rating or 0, owner="person")
    return left


def _keep_in_step(request: RatingRequest, file: PhotoFile, verdict: Verdict, result: Prepared) -> Prepared:
    """Write the sidecar whose name is asked for, then any other one of ours."""
    assert verdict.embedded is not None
    first = next(
        (each for each in verdict.sidecars if each.kind == request.sidecar_name), verdict.sidecars[0]
    )
    if request.sidecar_name == "stem" != first.kind and verdict.is_all_ours:
        target = targets.choose(request.photo, "sidecar", "stem")
        if target.path != first.metadata.source:
            return replace(new_content.create(request, file, verdict.embedded, result, target), has_more=True)
    ours = [first, *(each for each in verdict.sidecars if each is not first and each.found.owner == "maclip")]
    stale = []
    for each in ours:
        present = each.metadata
        followed = seed_update.follow(present, file, verdict.embedded)
        has_followed = followed is not None and followed.has_changed
        if has_followed or not _is_up_to_date(request, present):
            stale.append((present, followed))
    if not stale:
        return replace(
            result, status="unchanged", target=first.metadata.source, before_hash=first.found.source_hash
        )
    return replace(new_content.update(request, file, *stale[0], result), has_more=len(stale) > 1)


def _begin(
    request: RatingRequest, file: PhotoFile, present: read_metadata.PhotoMetadata, result: Prepared
) -> Prepared:
    """Write the first rating of a photo: into it, or into a new sidecar."""
    target = targets.choose(request.photo, request.mode, request.sidecar_name)
    if _is_up_to_date(request, present):
        return replace(result, status="unchanged")
    if target.kind == "embed":
        try:
            return new_content.embed(request, file, present, result)
        except WriteRefused as refusal:
            target = replace(
                targets.choose(request.photo, "sidecar", request.sidecar_name),
                note=f"not embedded: {refusal}; a sidecar is used",
            )
    found = result.found
    if found is not None and found.owner == "maclip" and not _is_of_another_photo(found, request):
        raise WriteRefused(
            f"The rating of {request.photo} was embedded earlier, and a sidecar would contradict it. "
            "Run `maclip undo` on the photo, or set the rating mode to embed."
        )
    return new_content.create(request, file, present, result, target)


def _is_up_to_date(request: RatingRequest, present: read_metadata.PhotoMetadata) -> bool:
    return maclip_properties.is_up_to_date(present.values, maclip_properties.wanted(request, present.values))


def _is_of_another_photo(found: FoundRating, request: RatingRequest) -> bool:
    """Return whether an export or a copy carried another photo's rating into this one."""
    if found.proof is None or request.pixel_hash is None:
        return False
    return found.proof.pixel_hash not in (None, request.pixel_hash)
