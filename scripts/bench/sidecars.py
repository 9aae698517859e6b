"""Measure how fast sidecars are written safely, beside plain writes with fsync in the same run.

Makes small JPEGs with metadata in folders of 100, in a temporary folder on the disk to measure. Prints
files a second: new sidecars, sidecars with other stars, and plain writes of the same bytes.
"""

from __future__ import annotations

import io
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pyexiv2
import typer
from PIL import Image

from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared, QualityProperties, RatingRequest
from maclip_daemon.pipeline.rating.rating_stage import BATCH_PHOTOS

FOLDER_PHOTOS = 100
QUALITY = QualityProperties(0.81, 42.1, 2, "maclip", "builtin", "native", datetime(2026, 1, 2, tzinfo=UTC))


def main(
    place: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder on the disk.")] = Path(),
    count: Annotated[int, typer.Argument(metavar="PHOTOS")] = 600,
    repeats: Annotated[int, typer.Argument()] = 3,
) -> None:
    """Measure how fast sidecars are written safely, beside plain writes."""
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=place, prefix="maclip-measurement-") as folder:
        photos = [make_photo(Path(folder), number) for number in range(count)]
        with MetadataWriter() as writer:
            writer.inspect(photos[0])  # the start of its process is not measured
            for _ in range(repeats):
                for name, work in (
                    ("safe, new sidecars", lambda: rate(writer, photos, 2, None)),
                    ("safe, other stars", lambda: rate(writer, photos, 5, 2)),
                ):
                    rates.setdefault(name, []).append(count / seconds(work))
                sidecars = {photo: Path(f"{photo}.xmp").read_bytes() for photo in photos}
                for photo in photos:
                    Path(f"{photo}.xmp").unlink()
                for name, grouped in (("plain, fsync grouped alike", True), ("plain, fsync each", False)):
                    taken = seconds(partial(write_plainly, sidecars, grouped))
                    rates.setdefault(name, []).append(count / taken)
                    for photo in photos:
                        Path(f"{photo}.xmp").unlink()
        free = shutil.disk_usage(folder)
        print(f"{count} photos, {repeats} repeats, {os.cpu_count()} cores, disk of {free.total >> 30} GiB")
    for name, values in rates.items():
        print(f"{name:28} {statistics.median(values):7.0f}/s  ({min(values):.0f} to {max(values):.0f})")


def make_photo(folder: Path, number: int) -> Path:
    """Write a small JPEG with a title and tags."""
    path = folder / str(number // FOLDER_PHOTOS) / f"IMG_{number:05d}.jpg"
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG")
    with pyexiv2.ImageData(buffer.getvalue()) as image:
        image.modify_exif({"Exif.Image.Artist": "Anna", "Exif.Photo.DateTimeOriginal": "2026:01:02 03:04:05"})
        image.modify_xmp({"Xmp.dc.title": {'lang="x-default"': "T"}, "Xmp.dc.subject": ["Sea", "Boat"]})
        path.write_bytes(image.get_bytes())
    return path


def rate(writer: MetadataWriter, photos: list[Path], stars: int, last: int | None) -> None:
    """Rate all photos in the daemon's batches."""
    quality = replace(QUALITY, stars=stars)
    for batch in batches(photos):
        prepared = writer.prepare_many([RatingRequest(photo, quality, last_written=last) for photo in batch])
        accepted = [each for each in prepared if isinstance(each, Prepared) and each.status == "prepared"]
        if len(accepted) != len(batch) or any(writer.commit_many(accepted)):
            raise SystemExit(f"a write failed: {prepared}")


def write_plainly(sidecars: dict[Path, bytes], grouped: bool) -> None:
    """Write the same bytes with fsync, rename and fsync, and nothing else."""
    for batch in batches(list(sidecars)):
        temporaries = []
        for photo in batch:
            temporary = Path(f"{photo}.tmp")
            temporary.write_bytes(sidecars[photo])
            temporaries.append(temporary)
            if not grouped:
                flush(temporary)
                temporary.rename(f"{photo}.xmp")
                flush(photo.parent)
        if grouped:
            for temporary in temporaries:
                flush(temporary)
            for photo, temporary in zip(batch, temporaries, strict=True):
                temporary.rename(f"{photo}.xmp")
            for folder in {photo.parent for photo in batch}:
                flush(folder)


def batches(photos: list[Path]) -> Iterator[list[Path]]:
    """Yield the daemon's batches."""
    for start in range(0, len(photos), BATCH_PHOTOS):
        yield photos[start : start + BATCH_PHOTOS]


def flush(path: Path) -> None:
    """Wait for the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def seconds(work: Callable[[], None]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
