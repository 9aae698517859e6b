"""A bulk run whose model is slower than its decoders. A program: Ray takes classes of `__main__` to workers.

`python -m tests.archive.slow_model_run LIST OUT` with MACLIP_… settings. What was decoded and scored stands
in the files `decoded` and `scored` of the data folder, a byte a photo.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator

import pyarrow as pa

from maclip_daemon import settings
from maclip_daemon.archive.archive_run import ArchiveRequest, run
from maclip_daemon.archive.planning.plan_chunks import read_chunk
from maclip_daemon.archive.rows import RowOrigin, failed_row, table_of
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.decoded_batch import Decoding, packed, unpacked
from maclip_daemon.errors import PhotoMissing
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.shots.descriptor_layout import DESCRIPTOR_BYTES
from tests.archive.special_run import Unwatched

PIXELS = bytes(1 << 20)
SCORE_S = 0.15
DECODE_S = 0.05
LOADING_S = 15.0
BATCH = 8


class FastDecode:
    """Has a mebibyte of pixels for each address, three times as fast as the model takes them."""

    def __init__(self, job: ArchiveJob) -> None:
        self._job = job

    def __call__(self, chunks: pa.Table) -> Iterator[pa.Table]:
        photo = DecodedPhoto(
            PIXELS,
            None,
            512,
            682,
            6000,
            4000,
            "j:" + "0" * 32,
            None,
            None,
            descriptor=bytes(DESCRIPTOR_BYTES),
        )
        for chunk in chunks.to_pylist():
            sources = read_chunk(chunk["plan"], chunk["group"], self._job.pauses)
            for start in range(0, len(sources), BATCH):
                batch = sources[start : start + BATCH]
                time.sleep(DECODE_S * len(batch))
                note(self._job, "decoded", len(batch))
                yield packed([Decoding(each, photo) for each in batch])


class SlowScore:
    """Takes its time."""

    def __init__(self, job: ArchiveJob, version: str, _threads: int) -> None:
        self._job, self._version = job, version
        time.sleep(LOADING_S)

    def __call__(self, table: pa.Table) -> pa.Table:
        job = self._job
        origin = RowOrigin(
            job.config, self._version, job.generation, job.run, socket.gethostname(), time.time()
        )
        rows = [
            failed_row(each.source, PhotoMissing("It is made up."), origin) for each, _ in unpacked(table)
        ]
        time.sleep(SCORE_S * len(rows))
        note(job, "scored", len(rows))
        return table_of(rows)


def note(job: ArchiveJob, name: str, photos: int) -> None:
    """Append a byte for each photo."""
    with (job.data_dir / name).open("ab") as file:
        file.write(b"x" * photos)


if __name__ == "__main__":
    request = ArchiveRequest(sys.argv[1], sys.argv[2], settings.load(), cores=2)
    print(run(request, Unwatched(), (FastDecode, SlowScore)).failed)
