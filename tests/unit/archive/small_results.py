"""A small results folder of an archive, as `maclip archive` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq

from maclip_daemon.archive.rows import PhotoSource, Row, RowOrigin, failed_row, scored_row, table_of
from maclip_daemon.errors import MaclipError, Poison
from maclip_daemon.iqa.photo_score import PhotoScore, ScoringConfig
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.measures.photo_measures import Measure, PhotoMeasures
from maclip_daemon.photos.shots.shot_info import ShotInfo

NOW = 1_790_000_000.0
CONFIG = ScoringConfig("maclip", "builtin@2", "detail-8")
CAMERA = ShotInfo(make="Canon", model="EOS R6", lens="RF 50", exposure_s=0.01, iso=400.0)
SURE = Measure(1.0, 1.0)


def measures() -> PhotoMeasures:
    """Return the measures of a photo whose focus is known and whose motion is not."""
    return PhotoMeasures(
        focus=Measure(1.5, 1.0),
        focus_x=0.5,
        focus_y=0.5,
        motion=Measure(3.0, 0.1),
        motion_direction=45.0,
        noise=SURE,
        clipped_highlights=SURE,
        clipped_shadows=SURE,
        contrast=Measure(6.0, 1.0),
        jpeg_damage=SURE,
        enlargement=SURE,
        brightest=250.0,
        scale=1.0,
        is_developed=False,
        blur=(),
    )


def origin(config: ScoringConfig = CONFIG, generation: int = 1, now: float = NOW) -> RowOrigin:
    """Return what judged a photo."""
    return RowOrigin(config, "2.0.0", generation, run="a1", node="node-1", now=now)


ORIGIN = origin()


def source(address: str) -> PhotoSource:
    """Return a listed file."""
    return PhotoSource(address, 1000, datetime(2026, 5, 1, tzinfo=UTC), "e1")


def scored(
    address: str,
    score: float = 0.5,
    pixel_hash: str | None = None,
    origin: RowOrigin = ORIGIN,
    shot: ShotInfo = CAMERA,
) -> Row:
    """Return the row of a scored photo."""
    photo = DecodedPhoto(
        pixels=b"",
        spooled=None,
        width=544,
        height=363,
        photo_width=6000,
        photo_height=4000,
        pixel_hash=pixel_hash or f"jpeg:{address!a}",
        former_hash=None,
        taken_at=datetime(2026, 5, 1, 10),
        shot=shot,
        measures=measures(),
    )
    judged = PhotoScore(
        score=score,
        q_sim=0.6,
        q_mag=0.7,
        attributes={"good": 0.8, "sharpness": 0.25},
        views=7,
        view_scores=(score,),
        view_spread=0.01,
        weight_sim=0.5,
        overall=score,
        device="cpu",
        precision="bf16",
    )
    return scored_row(source(address), photo, judged, origin)


def failed(address: str, error: MaclipError | None = None, origin: RowOrigin = ORIGIN) -> Row:
    """Return the row of a photo that could not be scored."""
    return failed_row(source(address), error or Poison(f"{address}: It is no photo."), origin)


def write(folder: Path, rows: Sequence[Row], name: str = "part-0.parquet", generation: int = 1) -> Path:
    """Write one part of a results folder; return its path."""
    part = folder / f"generation={generation}" / name
    part.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table_of(rows), part)
    return part
