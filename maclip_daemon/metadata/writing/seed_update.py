"""A sidecar that maclip made follows its photo: after a change of the photo, its metadata is copied again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.metadata.content import exiv2_tags, xmp_document, xmp_text
from maclip_daemon.metadata.content.photo_file import PhotoFile
from maclip_daemon.metadata.sidecars import new_sidecar, read_metadata, seed
from maclip_daemon.metadata.sidecars.read_metadata import PhotoMetadata
from maclip_daemon.metadata.sidecars.seed import Seed, SeedChange


@dataclass(frozen=True)
class FollowedSidecar:
    """A sidecar whose copied parts are those of the photo today."""

    content: PhotoMetadata
    """The sidecar with these parts; the same as before where nothing differs."""
    seed: Seed
    has_changed: bool


def stamp_of(signature: ExactSignature) -> str:
    """Return the digest by which a seed knows the photo's file: a changed file has another size or time."""
    return seed.short_digest((str(signature.size), str(signature.mtime_ns)))


def follow(
    present: PhotoMetadata, photo: PhotoFile, embedded: PhotoMetadata | None
) -> FollowedSidecar | None:
    """Return the sidecar with the photo's own metadata of today; None where its copy is not ours to renew.

    `embedded`: the photo's metadata; without it, they are read. Raises `FileChanged` when the photo changes
    meanwhile.
    """
    recorded = Seed.parse(present.values.get(seed.SEED_KEY))
    if recorded is None or present.leaves is None:
        return None
    stamp = stamp_of(photo.signature)
    if recorded.photo == stamp:
        return FollowedSidecar(present, recorded, has_changed=False)
    try:
        document, notes = new_sidecar.build(photo, embedded or read_metadata.read_photo(photo))
    except WriteRefused:
        return None
    photo.require_unchanged()
    if notes:
        return None  # what could not be read must not take out what was read before
    change = recorded.follow(present.leaves, Seed.of(stamp, xmp_text.read(document)))
    if not change.outdated and not change.renewed:
        return FollowedSidecar(present, change.seed, has_changed=False)
    return _with_changes(present, document, change)


def _with_changes(present: PhotoMetadata, fresh: bytes, change: SeedChange) -> FollowedSidecar | None:
    assert present.document is not None
    assert present.leaves is not None
    parts = [part for part in _parts(present.document) if _name_of(part) not in change.outdated]
    parts += [part for part in _parts(fresh) if _name_of(part) in change.renewed]
    document = xmp_document.with_parts(xmp_document.EMPTY, parts)
    leaves = xmp_text.read(document)
    intended = frozenset(
        path for path in present.leaves if seed.name_of(*xmp_text.top_level(path)[:2]) in change.outdated
    )
    if xmp_text.lost(present.leaves, leaves, intended):
        return None
    with exiv2_tags.open_bytes(document) as image:
        values = exiv2_tags.read_xmp(image)
    content = replace(present, values=values, document=document, leaves=leaves)
    return FollowedSidecar(content, change.seed, has_changed=True)


def _parts(document: bytes) -> list[xmp_document.Part]:
    return xmp_document.parts(exiv2_tags.change_sidecar(document, {}))


def _name_of(part: xmp_document.Part) -> str:
    return seed.name_of(*xmp_document.name_of(part))
