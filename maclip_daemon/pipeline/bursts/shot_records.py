"""What decoding found of a photo, as grouping keeps it: its series, its moment, its exposure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.photos.burst_frames import FrameRecord, name_order
from maclip_daemon.library.storage.database import Session
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.shots.shot_info import ShotInfo

EARLIEST_YEAR = 1990  # cameras whose clock was lost begin in 1970 or 1980
_LATEST_YEAR = 2200


def record(session: Session, photos: Mapping[int, DecodedPhoto]) -> None:
    """Store what decoding found, by photo id; these photos are to be grouped again."""
    facts = burst_frames.file_facts(session, list(photos))
    burst_frames.record(
        session,
        {number: _record(photo, *facts[number]) for number, photo in photos.items() if number in facts},
    )


def _record(photo: DecodedPhoto, folder_id: int, file_name: str, mtime_ns: int) -> FrameRecord:
    shot, taken = photo.shot, photo.taken_at
    is_dated = taken is not None and EARLIEST_YEAR <= taken.year < _LATEST_YEAR
    return FrameRecord(
        series=series_of(shot) if is_dated else -folder_id,
        moment=_microseconds(taken) if taken is not None and is_dated else mtime_ns // 1000,
        name_order=name_order(file_name),
        exposure_s=shot.exposure_s,
        aperture=shot.aperture,
        iso=shot.iso,
        bias_ev=shot.bias_ev,
        focal_mm=shot.focal_mm,
        is_bracketed=shot.is_bracketed,
        descriptor=photo.descriptor,
    )


def series_of(shot: ShotInfo) -> int:
    """Return the number of a camera: a digest of its make, model and serial, above 0."""
    parts = [part or "" for part in (shot.make, shot.model, shot.serial)]
    digest = hashlib.blake2b("\0".join(parts).lower().encode("utf-8", "replace"), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) | 1


def _microseconds(taken: datetime) -> int:
    """Return a moment in UTC; a camera's own time without its zone is taken for UTC."""
    aware = taken if taken.tzinfo is not None else taken.replace(tzinfo=UTC)
    distance = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (distance.days * 86_400 + distance.seconds) * 1_000_000 + distance.microseconds
