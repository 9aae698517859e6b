"""From a score job to a stored score: decoder threads feed one scoring thread through a bounded queue.

A score and the end of its job are one transaction; whatever dies in between, the job comes back.
"""

from __future__ import annotations

import collections
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.iqa.photo_score import ModelIdentity, PhotoScore
from maclip_daemon.library import jobs, photos, scores
from maclip_daemon.library.database import Library
from maclip_daemon.library.jobs import LeasedJob, RetryPolicy
from maclip_daemon.photos.decoder import DecodedPhoto, Decoder
from maclip_daemon.pipeline import pairing
from maclip_daemon.pipeline.run_state import FailedPhoto, Resource, RunState, log
from maclip_daemon.scoring.client import PixelBlock, ScorerClient
from maclip_daemon.settings import Settings

LOOK_AHEAD_BATCHES = 2  # decoded photos that may wait for the scorer, in batches
IDLE_LOOK_S = 5.0  # other programs (`maclip retry`) queue work too; an indexed look costs microseconds
DECODER_IDLE_EXIT_S = 30.0
AWAY_S = 2.0  # until the folders thread has looked at a root that seems to be away
MOST_DECODERS = 4  # beyond that the scorer is the bottleneck
ATTRIBUTES = ("good", "sharpness", "edges", "resolution", "noise_free")


@dataclass(frozen=True)
class Ready:
    """A decoded photo on its way to the scorer."""

    job: LeasedJob
    photo: DecodedPhoto

    @property
    def block(self) -> PixelBlock:
        """What the scorer takes."""
        photo = self.photo
        return PixelBlock(photo.pixels, photo.spooled, photo.width, photo.height, name=self.job.path)


class Judging:
    """Score jobs, decoded by several threads and scored by one."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        settings: Settings,
        client: ScorerClient,
        identity: ModelIdentity,
        scale_id: int,
        worker: str,
        decoders: int,
        spool: Path,
        is_away: Callable[[str], bool],
    ) -> None:
        """`is_away` tells whether the root of a photo cannot be read at the moment."""
        self._library = library
        self._state = state
        self._settings = settings
        self._client = client
        self._protocol = identity.protocol
        self._scale_id = scale_id
        self._worker = worker
        self._spool = spool
        self._is_away = is_away
        self._policy = RetryPolicy(settings.jobs.max_attempts, settings.jobs.retry_base_s)
        self._ready: queue.Queue[Ready] = queue.Queue(LOOK_AHEAD_BATCHES * settings.scoring.batch_photos)
        self._leased: collections.deque[LeasedJob] = collections.deque()
        self._lease_lock = threading.Lock()
        self.decoders = [Decoder(settings.decoding, identity.protocol, spool) for _ in range(decoders)]

    def decode_loop(self, index: int) -> None:
        """One decoder thread: jobs in, pixels out, until the run stops."""
        decoder = self.decoders[index]
        part = f"decoder {index + 1}"
        patience_s = self._settings.decoding.timeout_s + 2 * IDLE_LOOK_S + 60.0
        last_worked = time.monotonic()
        try:
            while not self._state.stopping.is_set():
                self._state.pulse.beat(part, patience_s)
                job = None if self._state.paused("disk", "model", "process") else self._next_job()
                if job is None:
                    if time.monotonic() - last_worked > DECODER_IDLE_EXIT_S:
                        decoder.close()
                    self._state.wait_for_work(IDLE_LOOK_S)
                    continue
                self._decode(decoder, job, part, patience_s)
                last_worked = time.monotonic()
        finally:
            decoder.close()

    def score_loop(self) -> None:
        """The scoring thread: batches of pixels in, stored scores out, until the run stops."""
        patience_s = self._settings.scoring.timeout_s + 60.0
        try:
            while not self._state.stopping.is_set():
                self._state.pulse.beat("scorer", patience_s)
                batch = self._next_batch()
                if batch:
                    self._score(batch)
                else:
                    self._client.close_if_idle(time.monotonic())
        finally:
            self._client.close()
            with contextlib.suppress(queue.Empty):
                while True:
                    self._ready.get_nowait().photo.discard()

    def _next_job(self) -> LeasedJob | None:
        with self._lease_lock:
            if not self._leased:
                now = self._state.clock()
                with self._library.writing() as session:
                    self._leased.extend(
                        jobs.lease(
                            session,
                            "score",
                            self._worker,
                            now,
                            self._settings.jobs.lease_s,
                            2 * len(self.decoders),
                        )
                    )
            return self._leased.popleft() if self._leased else None

    def _decode(self, decoder: Decoder, job: LeasedJob, part: str, patience_s: float) -> None:
        try:
            photo = decoder.decode(Path(job.path))
        except errors.NoSpace as error:
            self._pause("disk", str(error), [job])
            return
        except errors.EnvironmentUnfit as error:
            self._pause("process", str(error), [job])
            return
        except errors.MaclipError as error:
            self._fail(job, error)
            return
        self._state.resume("disk")
        self._state.resume("process")
        with self._library.reading() as session:
            known = scores.find_by_pixel_hash(session, photo.pixel_hash, self._scale_id)
        if known is not None:
            photo.discard()
            if self._store([(job, photo, known)]):
                self._state.count(copied=1)
            return
        while not self._state.stopping.is_set():
            self._state.pulse.beat(part, patience_s)
            with contextlib.suppress(queue.Full):
                self._ready.put(Ready(job, photo), timeout=1.0)
                return
        photo.discard()

    def _next_batch(self) -> list[Ready]:
        batch: list[Ready] = []
        with contextlib.suppress(queue.Empty):
            batch.append(self._ready.get(timeout=1.0))
            while len(batch) < self._settings.scoring.batch_photos:
                batch.append(self._ready.get_nowait())
        return batch

    def _score(self, batch: list[Ready]) -> None:
        try:
            results = self._client.score([ready.block for ready in batch])
        except errors.EnvironmentUnfit as error:
            for ready in batch:
                ready.photo.discard()
            self._pause("model", str(error), [ready.job for ready in batch])
            return
        except errors.MaclipError as error:
            self._score_one_by_one(batch, error)
            return
        self._state.resume("model")
        stored = []
        for ready, result in zip(batch, results, strict=True):
            ready.photo.discard()
            if isinstance(result, PhotoScore):
                stored.append((ready.job, ready.photo, row_of(result)))
            else:
                self._fail(ready.job, result)
        self._store(stored)

    def _score_one_by_one(self, batch: list[Ready], error: errors.MaclipError) -> None:
        """After a batch was lost: find the photo that is to blame, so that only it counts an attempt."""
        if len(batch) == 1:
            batch[0].photo.discard()
            self._fail(batch[0].job, error)
            return
        log.warning("a batch was lost; scoring its photos one by one", reason=str(error), photos=len(batch))
        for ready in batch:
            if self._state.stopping.is_set():
                ready.photo.discard()
                continue
            self._state.pulse.beat("scorer", self._settings.scoring.timeout_s + 60.0)
            self._score([ready])

    def _store(self, scored: list[tuple[LeasedJob, DecodedPhoto, scores.ScoreRow]]) -> int:
        """Store scores and end their jobs in one transaction; how many counted."""
        if not scored:
            return 0
        now = self._state.clock()
        counted = 0
        try:
            with self._library.writing() as session:
                finished = []
                for job, photo, row in scored:
                    if not jobs.finish(session, job, self._worker):
                        continue  # the file changed meanwhile: the job is queued again
                    photos.set_facts(
                        session,
                        job.photo_id,
                        width=photo.photo_width,
                        height=photo.photo_height,
                        taken_at=photo.taken_at,
                        pixel_hash=photo.pixel_hash,
                    )
                    finished.append((job.photo_id, row))
                scores.record_all(session, self._scale_id, finished, now)
                to_rate = pairing.add(session, self._settings.rating, [photo_id for photo_id, _ in finished])
                if self._state.is_calibrated and self._settings.rating.mode != "off":
                    jobs.enqueue_all(session, to_rate, "rate", now)
                counted = len(finished)
                # Counted before the jobs are seen to be gone: `--once` must not end before the calibration
                # was considered.
                self._state.count(scored=counted)
        except errors.NoSpace as error:
            self._state.count(scored=-counted)
            self._pause("disk", str(error), [job for job, _, _ in scored])
            return 0
        log.debug("scored", photos=counted)
        self._state.wake()
        return counted

    def _fail(self, job: LeasedJob, error: errors.MaclipError) -> None:
        """Record a failed attempt; a photo that is gone is missing, not failed."""
        now = self._state.clock()
        blameless = isinstance(error, errors.Transient) and not isinstance(
            error, (errors.ChildDied, errors.ChildTimedOut)
        )
        if blameless and self._is_away(job.path):
            with self._library.writing() as session:
                jobs.give_back(session, [job], self._worker, now)
            self._state.wait_for_work(AWAY_S)
            return
        try:
            with self._library.writing() as session:
                if isinstance(error, errors.FileChanged) and not os.path.lexists(job.path):
                    if photos.path_of(session, job.photo_id) == job.path:
                        photos.mark_missing(session, [job.photo_id], now)
                    else:  # renamed meanwhile
                        jobs.give_back(session, [job], self._worker, now)
                    return
                outcome = jobs.fail(
                    session,
                    job,
                    self._worker,
                    str(error),
                    now,
                    poison=isinstance(error, errors.Poison),
                    policy=self._policy,
                )
        except errors.NoSpace as full:
            self._pause("disk", str(full), [job])
            return
        if outcome == "dead":
            self._state.tally.failed.append(FailedPhoto(Path(job.path), str(error)))
            log.warning("photo failed", photo=job.path, reason=str(error))
        else:
            log.info("will be tried again", photo=job.path, reason=str(error))

    def _pause(self, resource: Resource, reason: str, held: list[LeasedJob]) -> None:
        """Rest until there is space, or a model, again. The work stays leased and is done then."""
        self._state.pause(resource, reason)
        with self._lease_lock:
            self._leased.extendleft(reversed(held))


def default_decoders() -> int:
    """How many decoder processes suit this machine: half the cores, at most four."""
    return max(1, min(MOST_DECODERS, (os.cpu_count() or 2) // 2))


def row_of(score: PhotoScore) -> scores.ScoreRow:
    """Lay a score out as the library stores it."""
    attributes = {name: score.attributes.get(name) for name in ATTRIBUTES}
    return scores.ScoreRow(
        score=score.score,
        q_sim=score.q_sim,
        q_mag=score.q_mag,
        views=score.views,
        view_spread=score.view_spread,
        details={
            "view_scores": list(score.view_scores),
            "weight_sim": score.weight_sim,
            "attributes": score.attributes,
            "width": score.width,
            "height": score.height,
        },
        precision=score.precision,
        device=score.device,
        **attributes,
    )
