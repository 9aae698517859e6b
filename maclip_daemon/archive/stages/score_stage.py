"""The second stage of a bulk run: decoded photos → rows. Each of its actors owns one loaded model."""

from __future__ import annotations

import socket
import time

import pyarrow as pa

from maclip_daemon import __version__
from maclip_daemon.archive.rows import SCORED, Row, RowOrigin, failed_row, scored_row, table_of
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.decoded_batch import Decoding, unpacked
from maclip_daemon.archive.stages.run_tally import told
from maclip_daemon.errors import EnvironmentUnfit, MaclipError
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.scoring.one_by_one import scores_or_errors
from maclip_daemon.scoring.pixel_block import PixelBlock
from maclip_daemon.scoring.scorer_client import ScorerClient


class ScoreStage:
    """Scores batches of decoded photos. Ray makes one in each of its actors."""

    def __init__(self, job: ArchiveJob, program_version: str, threads: int) -> None:
        """`threads`: of the model on this machine.

        Raises `EnvironmentUnfit` where another version of maclip or another model is installed.
        """
        with told(job.tally):
            self._job = job
            self._client = _client(job, program_version, threads)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows of a batch, scored and failed."""
        with told(self._job.tally):
            return self._rows(unpacked(table))

    def _rows(self, photos: list[tuple[Decoding, PixelBlock | None]]) -> pa.Table:
        results = iter(scores_or_errors(self._client, [block for _, block in photos if block is not None]))
        origin = RowOrigin(
            self._job.config,
            __version__,
            self._job.generation,
            self._job.run,
            socket.gethostname(),
            max(time.time(), self._job.scored_after),
        )
        rows = [
            _row(decoding, None if block is None else next(results), origin) for decoding, block in photos
        ]
        scored = sum(row["state"] == SCORED for row in rows)
        self._job.tally.add.remote(scored, [row["failure"] for row in rows if row["state"] != SCORED])
        return table_of(rows)


def _client(job: ArchiveJob, program_version: str, threads: int) -> ScorerClient:
    """Return the model of this machine, if it is that of the run. Raises `EnvironmentUnfit`."""
    if program_version != __version__:
        raise EnvironmentUnfit(
            f"{socket.gethostname()} has maclip {__version__}, and this machine {program_version}. "
            "Install the same version on all machines of the cluster."
        )
    settings = job.scoring if job.scoring.threads else job.scoring.model_copy(update={"threads": threads})
    client = ScorerClient(settings, job.data_dir)
    found = client.identity()
    if found != job.config:
        raise EnvironmentUnfit(
            f"{socket.gethostname()} would judge with {found.model}, and this machine with "
            f"{job.config.model}. Install the same model on all machines of the cluster."
        )
    return client


def _row(decoding: Decoding, result: PhotoScore | MaclipError | None, origin: RowOrigin) -> Row:
    photo = decoding.outcome
    if isinstance(photo, DecodedPhoto):
        if isinstance(result, PhotoScore):
            return scored_row(decoding.source, photo, result, origin)
        photo = result or EnvironmentUnfit("It was not scored.")
    return failed_row(
        decoding.source, photo, origin, attempts=decoding.attempts, read_from=decoding.read_from
    )
