"""The new content of a file that gets a rating: made, verified, and written beside its target."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files import attributes, safe_writer
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.metadata.content import containers, exiv2_tags, xmp_text
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.content.xmp_text import Wanted
from maclip_daemon.metadata.records import DecisionRequest, Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import (
    bucket_tags,
    decision_properties,
    maclip_properties,
    new_sidecar,
    read_metadata,
    seed,
    targets,
)
from maclip_daemon.metadata.writing import seed_update, undo_delta, verification

Request = RatingRequest | DecisionRequest


def update(
    request: Request,
    file: PhotoFile,
    present: read_metadata.PhotoMetadata,
    followed: seed_update.FollowedSidecar | None,
    result: Prepared,
) -> Prepared:
    """Prepare the update of a sidecar; where maclip made it, its copied parts follow the photo."""
    safe_writer.require_writable(present.source)
    base = followed.content if followed is not None else present
    assert base.leaves is not None
    wanted = _wanted(request, base.values)
    if followed is not None:
        copied = followed.seed.with_tag_lists(base.leaves, wanted).items()
        if copied != base.values.get(seed.SEED_KEY):
            wanted = maclip_properties.with_seed(wanted, base.values, copied)
    return change(request, file, present, base, wanted, result)


def change(
    request: Request,
    file: PhotoFile,
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
    assert present.status is not None
    mode = present.status.st_mode & 0o7777
    if seed.SEED_KEY in present.values:  # it holds what the photo holds, which may have become private
        mode = attributes.as_readable_as(mode, file.status)
    return _prepared(request, result, present.source, present.data, new, (present.status, mode))


def embed(
    request: Request, file: PhotoFile, present: read_metadata.PhotoMetadata, result: Prepared
) -> Prepared:
    """Prepare the photo itself with the rating inside. Raises `WriteRefused` if its container forbids it."""
    safe_writer.require_writable(request.photo)
    data, status = safe_writer.read_opened(file.descriptor, request.photo)
    containers.require_embeddable(data)
    with exiv2_tags.open_bytes(data) as image:
        has_keywords = exiv2_tags.has_iptc(image) and bucket_tags.FLAT_KEY not in present.values
        if isinstance(request, RatingRequest) and has_keywords:
            # Tags in XMP would hide the IPTC keywords.
            request = replace(request, bucket_tags=False, is_tagged_best=False)
    # A seed belongs to a sidecar; an export may have carried one into the photo.
    wanted = maclip_properties.with_seed(_wanted(request, present.values), present.values, [])
    new = exiv2_tags.change_photo(data, wanted)
    verification.verify_photo(request.photo, data, new, present.values, wanted)
    return _prepared(request, result, request.photo, data, new, (status, status.st_mode & 0o7777))


def create(
    request: Request,
    file: PhotoFile,
    present: read_metadata.PhotoMetadata,
    result: Prepared,
    target: targets.Target,
) -> Prepared:
    """Prepare a new sidecar, seeded with what the photo itself says. Raises `FileChanged`."""
    document, notes = new_sidecar.build(file, present)
    if target.note:
        notes = (*notes, target.note)
    file.require_unchanged()
    leaves = xmp_text.read(document)
    stamp = seed_update.stamp_of(file.signature)
    with exiv2_tags.open_bytes(document) as image:
        seeded = exiv2_tags.read_xmp(image)
        wanted = _wanted(request, seeded)
        copied = seed.Seed.of(stamp, leaves).with_tag_lists(leaves, wanted)
        wanted = maclip_properties.with_seed(wanted, seeded, copied.items())
        new = exiv2_tags.changed_sidecar(image, wanted)
    verification.verify_sidecar(target.path, seeded, leaves, new, wanted)
    temporary = safe_writer.write_temporary(target.path, new, like=file.descriptor)
    return replace(
        result,
        status="prepared",
        notes=notes,
        target=target.path,
        temporary=temporary,
        temporary_signature=safe_writer.signature_of_temporary(temporary),
        created=True,
        after_hash=safe_writer.digest(new),
        restore=undo_delta.UndoDelta(created=True).encode(),
    )


def _wanted(request: Request, present: exiv2_tags.Values) -> Wanted:
    if isinstance(request, DecisionRequest):
        return decision_properties.wanted(request, present)
    return maclip_properties.wanted(request, present)


def _prepared(
    request: Request,
    result: Prepared,
    target: Path,
    old: bytes,
    new: bytes,
    wanted: tuple[os.stat_result, int],
) -> Prepared:
    """Prepare the update of a file; `wanted`: its status when it was read, and its new permission bits."""
    status, mode = wanted
    delta = undo_delta.between(old, new, mode=status.st_mode & 0o7777, mtime_ns=status.st_mtime_ns)
    if _is_of_another_library(request, result):
        delta = undo_delta.UndoDelta.taking_out()  # its stars are no earlier state to return to
    elif delta.apply(new) != old:
        raise WriteRefused(f"{target} is left alone: undo could not restore its present content.")
    signature = ExactSignature.of(status)
    temporary = safe_writer.write_temporary(target, new, like=target, mode=mode, unchanged=signature)
    return replace(
        result,
        status="prepared",
        target=target,
        temporary=temporary,
        before_signature=signature,
        temporary_signature=safe_writer.signature_of_temporary(temporary),
        before_hash=safe_writer.digest(old),
        after_hash=safe_writer.digest(new),
        restore=delta.encode(),
    )


def _is_of_another_library(request: Request, result: Prepared) -> bool:
    """Return whether the file's rating was written for this photo by a library whose journal is not ours."""
    proof = result.found.proof if result.found is not None else None
    if proof is None or request.last_written is not None or isinstance(request, DecisionRequest):
        return False
    return result.target != request.photo or proof.pixel_hash in (None, request.pixel_hash)
