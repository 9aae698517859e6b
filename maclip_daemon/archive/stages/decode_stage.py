"""The first stage of a bulk run: addresses → decoded photos. One decoder process in each of its actors."""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pyarrow as pa

from maclip_daemon.archive.planning.plan_chunks import read_chunk
from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.decoded_batch import Decoding, packed
from maclip_daemon.archive.stages.fetching import Fetcher, LocalCopy
from maclip_daemon.archive.stages.run_tally import told
from maclip_daemon.errors import ChildDied, MaclipError, NoSpace, Transient
from maclip_daemon.photos import spool as spools
from maclip_daemon.photos.decoder import Decoder

_FETCHED_AHEAD = 4  # objects that are fetched while one is decoded
_ATTEMPTS = 3  # of decoding, for a photo that another program writes, or that ended its decoder


class DecodeStage:
    """Decodes chunks of the plan. Ray makes one in each of its actors."""

    def __init__(self, job: ArchiveJob) -> None:
        self._job = job
        self._folder = tempfile.TemporaryDirectory(prefix="maclip-spool-")
        # Two folders: the sandbox may read photos, and of pixels only write new ones.
        pixels, photos = Path(self._folder.name) / "pixels", Path(self._folder.name) / "photos"
        spools.clean(pixels)
        photos.mkdir()
        self._fetcher = Fetcher(photos, job.pauses, job.archive.largest_file_mib)
        self._threads = ThreadPoolExecutor(_FETCHED_AHEAD, "fetch")
        self._decoder = Decoder(job.decoding, job.config.protocol, pixels)

    def __call__(self, chunks: pa.Table) -> Iterator[pa.Table]:
        """Yield the photos of chunks in batches as the model takes them."""
        with told(self._job.tally):
            for chunk in chunks.to_pylist():
                yield from self._chunk(chunk["plan"], chunk["group"])

    def _chunk(self, plan: str, group: int) -> Iterator[pa.Table]:
        import ray

        name = f"{plan}:{group}"
        sources = read_chunk(plan, group, self._job.own_pauses)
        start = ray.get(self._job.tally.begin.remote(name))
        batch: list[Decoding] = []
        for index, (source, copy) in enumerate(self._fetched(sources)):
            noted = self._job.tally.working.remote(name, index)
            if start.is_repeated:
                ray.get(noted)  # a worker that dies at once takes along what it has not sent
            batch.append(_ended_workers(source) if index in start.deadly else self._decoded(source, copy))
            if len(batch) == self._job.scoring.batch_photos:
                self._job.tally.resting.remote(name)  # until the next batch is asked for
                yield packed(batch)
                batch = []
        self._job.tally.resting.remote(name)
        if batch:
            yield packed(batch)
        self._job.tally.end.remote(name)

    def _fetched(self, sources: Sequence[PhotoSource]) -> Iterator[tuple[PhotoSource, Future[LocalCopy]]]:
        """Yield photos in order while the next ones are fetched; of those left over remove the copies."""
        ahead: deque[tuple[PhotoSource, Future[LocalCopy]]] = deque()
        remaining = iter(sources)
        try:
            while True:
                for source in islice(remaining, _FETCHED_AHEAD - len(ahead)):
                    ahead.append((source, self._threads.submit(self._fetcher.fetch, source)))
                if not ahead:
                    return
                yield ahead.popleft()
        finally:
            for _, future in ahead:
                if not future.cancel():
                    future.add_done_callback(_discard)

    def _decoded(self, source: PhotoSource, fetched: Future[LocalCopy]) -> Decoding:
        """Return what becomes of one photo. Raises `NoSpace`: no photo's fault."""
        for attempt in range(1, _ATTEMPTS + 1):
            read_from, version = "", source
            try:
                copy = fetched.result() if attempt == 1 else self._fetcher.fetch(source)
                try:
                    read_from, version = str(copy.path), copy.source
                    return Decoding(version, self._decoder.decode(copy.path, follow_link=True), attempt)
                finally:
                    copy.discard()
            except NoSpace:
                raise
            except MaclipError as error:
                # The storage was asked often enough before it counts as failed.
                is_final = not read_from or not isinstance(error, Transient) or attempt == _ATTEMPTS
                if is_final:
                    return Decoding(version, error, attempt, read_from)
            time.sleep(self._job.pauses.after(attempt))
        raise AssertionError("unreachable")


def _ended_workers(source: PhotoSource) -> Decoding:
    error = ChildDied(
        f"{source.address}: its worker ended twice while it was read. Open it with another program."
    )
    return Decoding(source, error, attempts=2)


def _discard(future: Future[LocalCopy]) -> None:
    if future.exception() is None:
        future.result().discard()
