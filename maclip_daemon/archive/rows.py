"""One row of an archive's results: a photo's score and all that was found out, or why it failed.

The names are those of `photo_quality` (docs/database.md) where the meaning is the same, so that its queries
work here. docs/archive.md describes each column. What only a library knows (stars, percentiles, bursts, a
person's rating) is not in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from maclip_daemon.errors import MaclipError
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.iqa.photo_score import PhotoScore, ScoringConfig
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.measures.known_values import known_values

SCORED, FAILED = "scored", "failed"
FORMAT_KEY, FORMAT = b"maclip_archive", b"1"  # in the metadata of each file: whose Parquet this is

_TEXT, _NUMBER, _COUNT = pa.string(), pa.float64(), pa.int64()
_SOURCE = {"address": _TEXT, "address_bytes": pa.binary(), "folder": _TEXT, "file_name": _TEXT}
_VERSION = {"size": _COUNT, "mtime": pa.timestamp("us", "UTC"), "etag": _TEXT}
_OUTCOME = {"state": _TEXT, "failure": _TEXT, "reason": _TEXT, "attempts": pa.int32()}
_CUES = ("score", "overall_score", "detail_score", "q_sim", "q_mag", "good", "sharpness", "edges")
_MORE_CUES = ("resolution", "noise_free", "view_spread")
_MEASURES = ("focus", "motion", "motion_direction", "noise", "clipped_highlights", "clipped_shadows")
_MORE_MEASURES = ("contrast", "jpeg_damage", "true_megapixels")
_PICTURE = {"width": pa.int32(), "height": pa.int32(), "taken_at": _TEXT, "pixel_hash": _TEXT}
_CAMERA = ("camera", "camera_make", "camera_model", "camera_serial", "lens")
_EXPOSURE = ("exposure_s", "aperture", "iso", "bias_ev", "focal_mm")
_ORIGIN = ("metric", "model", "protocol", "precision", "device", "program_version")

ROW_SCHEMA = pa.schema(
    {
        **_SOURCE,
        **_VERSION,
        **_OUTCOME,
        **dict.fromkeys((*_CUES, *_MORE_CUES), _NUMBER),
        "views": pa.int32(),
        **dict.fromkeys((*_MEASURES, *_MORE_MEASURES), _NUMBER),
        "reasons": _TEXT,
        **_PICTURE,
        "former_hash": _TEXT,
        **dict.fromkeys(_CAMERA, _TEXT),
        **dict.fromkeys(_EXPOSURE, _NUMBER),
        "is_bracketed": pa.bool_(),
        **dict.fromkeys(_ORIGIN, _TEXT),
        "generation": pa.int32(),
        "scored_at": _TEXT,
        "run": _TEXT,
        "node": _TEXT,
        "score_details": _TEXT,
        "measure_details": _TEXT,
        "descriptor": pa.binary(),
    },
    metadata={FORMAT_KEY: FORMAT},
)
"""The columns of every result file, in order."""

Row = dict[str, Any]


@dataclass(frozen=True)
class PhotoSource:
    """One file of an archive, as its listing shows it."""

    address: str
    """A path or a URL; bytes that are not UTF-8 as surrogates."""
    size: int | None = None
    mtime: datetime | None = None
    """With a time zone."""
    etag: str | None = None


@dataclass(frozen=True)
class RowOrigin:
    """What judged a photo, when and where."""

    config: ScoringConfig
    program_version: str
    generation: int
    run: str
    node: str
    now: float
    """Unix seconds."""


def scored_row(source: PhotoSource, photo: DecodedPhoto, score: PhotoScore, origin: RowOrigin) -> Row:
    """Return the row of a scored photo."""
    columns = score.as_columns()
    score_details = columns.pop("details")
    width, height = photo.photo_width, photo.photo_height
    measured: dict[str, Any] = {}
    if photo.measures is not None:
        measured = known_values(photo.measures, width, height)
    measure_details = measured.pop("details", None)
    taken_at = photo.taken_at
    return {
        **_source(source),
        **_origin(origin),
        **columns,
        **measured,
        **_shot(photo),
        "state": SCORED,
        "width": width,
        "height": height,
        "taken_at": None if taken_at is None else taken_at.isoformat(timespec="seconds"),
        "pixel_hash": photo.pixel_hash,
        "former_hash": photo.former_hash,
        "descriptor": photo.descriptor,
        "score_details": json.dumps(score_details),
        "measure_details": None if measure_details is None else json.dumps(measure_details),
    }


def failed_row(
    source: PhotoSource,
    error: MaclipError,
    origin: RowOrigin,
    *,
    attempts: int = 1,
    read_from: str | os.PathLike[str] = "",
) -> Row:
    """Return the row of a photo that has no score; its reason names no path.

    `read_from`: the local copy that was read, which the error may name.
    """
    return {
        **_source(source),
        **_origin(origin),
        "state": FAILED,
        "failure": error.failure,
        "reason": reason_without_path(str(error), source.address, os.fspath(read_from)),
        "attempts": attempts,
    }


def reason_without_path(message: str, *paths: str) -> str:
    """Return an error's text in one line, without these paths; results may go to other people."""
    text = printable_utf8(message)
    for path in sorted(map(printable_utf8, filter(None, paths)), key=len, reverse=True):
        text = text.removeprefix(f"{path}: ").replace(path, "the photo")
    return text


def table_of(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Return rows as a table of `ROW_SCHEMA`; what a row does not have is NULL."""
    return pa.Table.from_pylist(list(rows), schema=ROW_SCHEMA)


def address_of(row: Mapping[str, Any]) -> str:
    """Return the address of a row as its listing had it."""
    exact: bytes | None = row.get("address_bytes")
    address: str = row["address"]
    return address if exact is None else os.fsdecode(exact)


def _source(source: PhotoSource) -> Row:
    exact = os.fsencode(source.address)
    shown = exact.decode("utf-8", "backslashreplace")
    folder, _, file_name = shown.rpartition("/")
    return {
        "address": shown,
        "address_bytes": None if shown.encode() == exact else exact,
        "folder": folder,
        "file_name": file_name,
        "size": source.size,
        "mtime": source.mtime,
        "etag": source.etag,
    }


def _origin(origin: RowOrigin) -> Row:
    config = origin.config
    moment = datetime.fromtimestamp(origin.now, UTC)
    return {
        "metric": config.metric,
        "model": config.model,
        "protocol": config.protocol,
        "program_version": origin.program_version,
        "generation": origin.generation,
        "scored_at": moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z",
        "run": origin.run,
        "node": origin.node,
    }


def _shot(photo: DecodedPhoto) -> Row:
    shot = asdict(photo.shot)
    named = {f"camera_{name}": shot.pop(name) for name in ("make", "model", "serial")}
    told = {"camera": photo.shot.camera, **named, **shot}
    # A hostile photo's names may hold half a character, which Parquet refuses.
    return {name: printable_utf8(value) if isinstance(value, str) else value for name, value in told.items()}
