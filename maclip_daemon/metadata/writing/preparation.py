"""The first phase of a write: decide, make the new bytes, verify them, write them beside the target."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from maclip_daemon.errors import FileChanged, WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.files.signature import FileSignature
from maclip_daemon.metadata.content import containers, exiv2_tags, xmp_text
from maclip_daemon.metadata.content.second_reader import SecondReadingNeeded
from maclip_daemon.metadata.content.xmp_text import Wanted
from maclip_daemon.metadata.records import FoundRating, Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import (
    bucket_tags,
    maclip_properties,
    new_sidecar,
    read_metadata,
    seed,
    targets,
)
from maclip_daemon.metadata.sidecars.verdict import Verdict, judge
from maclip_daemon.metadata.writing import seed_update, undo_delta, verification


def prepare(request: RatingRequest) -> Prepared:
    """Prepare one write. The temporary file is not flushed yet.

    A photo that is left alone on purpose is a result too. Raises `NoSpace`, `FileChanged`, `Transient`.
    """
    try:
        with safe_writer.translate_errors(request.photo):
            return _prepare(request, judge(request.photo, request.last_written, request))
    except SecondReadingNeeded:
        raise
    except WriteRefused as refusal:
        return Prepared(request.photo, "skipped", request.rating, reason=str(refusal))


def _prepare(request: RatingRequest, verdict: Verdict) -> Prepared:
    found = verdict.found
    result = Prepared(
        request.photo,
        "person",
        request.rating,
        found=found,
        target=found.source,
        photo_signature=FileSignature.of(request.photo.lstat()),
        beside=verdict.names,
    )
    if found.owner == "person":
        return _follow(request, verdict, result)
    if verdict.refusal:
        raise WriteRefused(verdict.refusal)
    if verdict.sidecars:
        return _keep_in_step(request, verdict, result)
    assert verdict.embedded is not None
    return _begin(request, verdict.embedded, result)


def _follow(request: RatingRequest, verdict: Verdict, result: Prepared) -> Prepared:
    """Bring a sidecar of ours in step with a person's rating found elsewhere; it would hide that one."""
    ours = verdict.contradicting
    if ours is None:
        return _follow_photo(request, verdict, result)
    safe_writer.require_writable(ours.metadata.source)
    rating = verdict.found.rating or 0
    wanted = maclip_properties.following(rating, ours.metadata.values)
    # Whether undo can go back to the sidecar's earlier bytes depends on whose stars the sidecar held.
    of_sidecar = replace(result, found=ours.found, target=ours.metadata.source)
    changed = _change(request, ours.metadata, ours.metadata, wanted, of_sidecar)
    return replace(changed, rating=rating, owner="person", found=verdict.found)


def _follow_photo(request: RatingRequest, verdict: Verdict, result: Prepared) -> Prepared:
    """Renew what a sidecar that a person rated copied from the photo; it would hide the photo's new title."""
    assert result.photo_signature is not None
    left = replace(result, reason="a person rated this photo")
    for sidecar in verdict.sidecars:
        present = sidecar.metadata
        followed = seed_update.follow(present, request.photo, verdict.embedded, result.photo_signature)
        if followed is not None and followed.has_changed:
            safe_writer.require_writable(present.source)
            wanted: Wanted = {seed.SEED_KEY: list(followed.seed.items())}
            changed = _change(request, present, followed.content, wanted, left)
            return replace(changed, rating=verdict.found.rating or 0, owner="person")
    return left


def _keep_in_step(request: RatingRequest, verdict: Verdict, result: Prepared) -> Prepared:
    """Write the sidecar whose name is asked for, then any other one of ours."""
    assert verdict.embedded is not None
    assert result.photo_signature is not None
    first = next(
        (each for each in verdict.sidecars if each.kind == request.sidecar_name), verdict.sidecars[0]
    )
    if request.sidecar_name == "stem" != first.kind and verdict.is_all_ours:
        target = targets.choose(request.photo, "sidecar", "stem")
        if target.path != first.metadata.source:
            return replace(_create(request, verdict.embedded, result, target), has_more=True)
    ours = [first, *(each for each in verdict.sidecars if each is not first and each.found.owner == "maclip")]
    stale = []
    for each in ours:
        present = each.metadata
        followed = seed_update.follow(present, request.photo, verdict.embedded, result.photo_signature)
        has_followed = followed is not None and followed.has_changed
        if has_followed or not _is_up_to_date(request, present):
            stale.append((present, followed))
    if not stale:
        return replace(
            result, status="unchanged", target=first.metadata.source, before_hash=first.found.source_hash
        )
    return replace(_update(request, *stale[0], result), has_more=len(stale) > 1)


def _begin(request: RatingRequest, present: read_metadata.PhotoMetadata, result: Prepared) -> Prepared:
    """Write the first rating of a photo: into it, or into a new sidecar."""
    target = targets.choose(request.photo, request.mode, request.sidecar_name)
    if _is_up_to_date(request, present):
        return replace(result, status="unchanged")
    if target.kind == "embed":
        try:
            return _embed(request, present, result)
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
    return _create(request, present, result, target)


def _is_up_to_date(request: RatingRequest, present: read_metadata.PhotoMetadata) -> bool:
    return maclip_properties.is_up_to_date(present.values, maclip_properties.wanted(request, present.values))


def _is_of_another_photo(found: FoundRating, request: RatingRequest) -> bool:
    """Return whether an export or a copy carried another photo's rating into this one."""
    if found.proof is None or request.pixel_hash is None:
        return False
    return found.proof.pixel_hash not in (None, request.pixel_hash)


def _is_of_another_library(request: RatingRequest, result: Prepared) -> bool:
    """Return whether the file's rating was written for this photo by a library whose journal is not ours."""
    proof = result.found.proof if result.found is not None else None
    if proof is None or request.last_written is not None:
        return False
    return result.target != request.photo or proof.pixel_hash in (None, request.pixel_hash)


def _update(
    request: RatingRequest,
    present: read_metadata.PhotoMetadata,
    followed: seed_update.FollowedSidecar | None,
    result: Prepared,
) -> Prepared:
    """Prepare the update of a sidecar; where maclip made it, its copied parts follow the photo."""
    safe_writer.require_writable(present.source)
    base = followed.content if followed is not None else present
    assert base.leaves is not None
    wanted = maclip_properties.wanted(request, base.values)
    if followed is not None:
        copied = followed.seed.with_tag_lists(base.leaves, wanted).items()
        if copied != base.values.get(seed.SEED_KEY):
            wanted = maclip_properties.with_seed(wanted, base.values, copied)
    return _change(request, present, base, wanted, result)


def _change(
    request: RatingRequest,
    present: read_metadata.PhotoMetadata,
    base: read_metadata.PhotoMetadata,
    wanted: Wanted,
    result: Prepared,
) -> Prepared:
    """Prepare a sidecar that holds what is in `base`, with the values in `wanted` set."""
    assert present.data is not None
    assert base.document is not None
    assert base.leaves is not None
    new = exiv2_tags.change_sidecar(base.document, wanted)
    verification.verify_sidecar(present.source, base.values, base.leaves, new, wanted)
    return _prepared(request, result, present.source, present.data, new, present.status)


def _embed(request: RatingRequest, present: read_metadata.PhotoMetadata, result: Prepared) -> Prepared:
    safe_writer.require_writable(request.photo)
    data, status = safe_writer.read_regular(request.photo)
    containers.require_embeddable(data)
    with exiv2_tags.open_bytes(data) as image:
        if exiv2_tags.has_iptc(image) and bucket_tags.FLAT_KEY not in present.values:
            request = replace(request, bucket_tags=False)  # tags in XMP would hide the IPTC keywords
    # A seed belongs to a sidecar; an export may have carried one into the photo.
    wanted = maclip_properties.with_seed(
        maclip_properties.wanted(request, present.values), present.values, []
    )
    new = exiv2_tags.change_photo(data, wanted)
    verification.verify_photo(request.photo, data, new, present.values, wanted)
    return _prepared(request, result, request.photo, data, new, status)


def _create(
    request: RatingRequest, present: read_metadata.PhotoMetadata, result: Prepared, target: targets.Target
) -> Prepared:
    document, notes = new_sidecar.build(request.photo, present)
    if target.note:
        notes = (*notes, target.note)
    assert result.photo_signature is not None
    if FileSignature.of(request.photo.lstat()) != result.photo_signature:
        raise FileChanged(f"{request.photo} changed while it was read.")
    leaves = xmp_text.read(document)
    stamp = seed_update.stamp_of(result.photo_signature)
    with exiv2_tags.open_bytes(document) as image:
        seeded = exiv2_tags.read_xmp(image)
        wanted = maclip_properties.wanted(request, seeded)
        copied = seed.Seed.of(stamp, leaves).with_tag_lists(leaves, wanted)
        wanted = maclip_properties.with_seed(wanted, seeded, copied.items())
        new = exiv2_tags.changed_sidecar(image, wanted)
    verification.verify_sidecar(target.path, seeded, leaves, new, wanted)
    temporary = safe_writer.write_temporary(target.path, new, like=request.photo)
    return replace(
        result,
        status="prepared",
        notes=notes,
        target=target.path,
        temporary=temporary,
        created=True,
        after_hash=safe_writer.digest(new),
        restore=undo_delta.UndoDelta(created=True).encode(),
    )


def _prepared(
    request: RatingRequest,
    result: Prepared,
    target: Path,
    old: bytes,
    new: bytes,
    status: os.stat_result | None,
) -> Prepared:
    assert status is not None
    delta = undo_delta.between(old, new, mode=status.st_mode & 0o7777, mtime_ns=status.st_mtime_ns)
    if _is_of_another_library(request, result):
        delta = undo_delta.UndoDelta.taking_out()  # its stars are no earlier state to return to
    elif delta.apply(new) != old:
        raise WriteRefused(f"{target} is left alone: undo could not restore its present content.")
    return replace(
        result,
        status="prepared",
        target=target,
        temporary=safe_writer.write_temporary(target, new, like=target),
        before_hash=safe_writer.digest(old),
        after_hash=safe_writer.digest(new),
        restore=delta.encode(),
    )
