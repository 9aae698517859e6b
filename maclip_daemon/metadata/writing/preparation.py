"""The first phase of a write: decide, make the new bytes, verify them, write them beside the target."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from maclip_daemon.errors import FileChanged, WriteRefused
from maclip_daemon.files import safe_writer
from maclip_daemon.files.signature import FileSignature
from maclip_daemon.metadata.content import containers, exiv2_tags, xmp_text
from maclip_daemon.metadata.records import FoundRating, Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import (
    bucket_tags,
    first_star,
    maclip_properties,
    new_sidecar,
    read_metadata,
    seed,
    targets,
)
from maclip_daemon.metadata.writing import seed_update, undo_delta, verification


def prepare(request: RatingRequest) -> Prepared:
    """Prepare one write. The temporary file is not flushed yet.

    A photo that is left alone on purpose is a result too. Raises `NoSpace`, `FileChanged`, `Transient`.
    """
    try:
        with safe_writer.translate_errors(request.photo):
            return _prepare(request, targets.choose(request.photo, request.mode))
    except WriteRefused as refusal:
        return Prepared(request.photo, "skipped", request.rating, reason=str(refusal))


def _prepare(request: RatingRequest, target: targets.Target) -> Prepared:
    signature = FileSignature.of(request.photo.lstat())
    updating = target.kind == "sidecar" and target.exists
    present = read_metadata.read_sidecar(target.path) if updating else read_metadata.read_photo(request.photo)
    found = read_metadata.rating_of(present, request.last_written)
    if updating and (found.owner != "person" or first_star.may_replace(found, request)):
        found = read_metadata.embedded_rating(request.photo) or found
    result = Prepared(
        request.photo, "person", request.rating, found=found, target=present.source, photo_signature=signature
    )
    if found.owner == "person" and not first_star.may_replace(found, request):
        return replace(result, reason="a person rated this photo")
    followed = seed_update.follow(present, request.photo, signature) if updating else None
    has_followed = followed is not None and followed.has_changed
    wanted = maclip_properties.wanted(request, present.values)
    if not has_followed and maclip_properties.is_up_to_date(present.values, wanted):
        return replace(result, status="unchanged", before_hash=found.source_hash)
    if updating:
        return _update(request, present, result, followed)
    if target.kind == "embed":
        try:
            return _embed(request, present, result)
        except WriteRefused as refusal:
            target = replace(
                targets.choose(request.photo, "sidecar"), note=f"not embedded: {refusal}; a sidecar is used"
            )
    if found.owner == "maclip" and not _is_of_another_photo(found, request):
        raise WriteRefused(
            f"The rating of {request.photo} was embedded earlier, and a sidecar would contradict it. "
            "Run `maclip undo` on the photo, or set the rating mode to embed."
        )
    return _create(request, present, result, target)


def _is_of_another_photo(found: FoundRating, request: RatingRequest) -> bool:
    """Return whether an export or a copy carried another photo's rating into this one."""
    return found.proof is not None and found.proof.pixel_hash not in (None, request.pixel_hash)


def _is_of_another_library(request: RatingRequest, result: Prepared) -> bool:
    """Return whether the file's rating was written for this photo by a library whose journal is not ours."""
    proof = result.found.proof if result.found is not None else None
    if proof is None or request.last_written is not None:
        return False
    return result.target != request.photo or proof.pixel_hash in (None, request.pixel_hash)


def _update(
    request: RatingRequest,
    present: read_metadata.PhotoMetadata,
    result: Prepared,
    followed: seed_update.FollowedSidecar | None,
) -> Prepared:
    """Prepare the update of a sidecar; where maclip made it, its copied parts follow the photo."""
    safe_writer.require_writable(present.source)
    base = followed.content if followed is not None else present
    assert base.leaves is not None
    assert base.data is not None
    assert present.data is not None
    wanted = maclip_properties.wanted(request, base.values)
    if followed is not None:
        copied = followed.seed.with_tag_lists(base.leaves, verification.applied(base.leaves, wanted))
        wanted = maclip_properties.wanted(request, base.values, copied.items())
    new = exiv2_tags.change_sidecar(base.data, wanted)
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
    wanted = maclip_properties.wanted(request, present.values, [])
    new = exiv2_tags.change_photo(data, wanted)
    verification.verify_photo(request.photo, data, new, present.values, wanted)
    return _prepared(request, result, request.photo, data, new, status)


def _create(
    request: RatingRequest, present: read_metadata.PhotoMetadata, result: Prepared, target: targets.Target
) -> Prepared:
    notes = (*present.notes, target.note) if target.note else present.notes
    document = new_sidecar.empty()
    if not present.notes:
        try:
            with exiv2_tags.open_photo(request.photo) as image:
                document, more = new_sidecar.build(image)
                notes = (*notes, *more)
        except WriteRefused as refusal:
            notes = (*notes, f"the metadata of {request.photo} is not carried over: {refusal}")
    assert result.photo_signature is not None
    if FileSignature.of(request.photo.lstat()) != result.photo_signature:
        raise FileChanged(f"{request.photo} changed while it was read.")
    with exiv2_tags.open_bytes(document) as image:
        seeded = exiv2_tags.read_xmp(image)
    leaves = xmp_text.read(document)
    wanted = maclip_properties.wanted(request, seeded)
    stamp = seed_update.stamp_of(result.photo_signature)
    copied = seed.Seed.of(stamp, verification.applied(leaves, wanted))
    wanted = maclip_properties.wanted(request, seeded, copied.items())
    new = exiv2_tags.change_sidecar(document, wanted)
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
