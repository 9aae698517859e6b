"""From a score job to a stored score: decoder threads feed one scoring thread through a bounded queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.photos.decoder import DecodedPhoto, Decoder
from maclip_daemon.pipeline.run_state import RunState, log
from maclip_daemon.pipeline.scoring.look_ahead import LookAhead, Ready
from maclip_daemon.pipeline.scoring.score_jobs import ScoreJobs, row_of
from maclip_daemon.pipeline.waits import DECODER, MODEL, POWER, SPOOL, WANTED_PAUSES
from maclip_daemon.processes.child import START_TIMEOUT_S
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings

LOOK_AHEAD_BATCHES = 2  # decoded photos that may wait for the scorer, in batches
ROOM_POLL_S = 1.0  # between heartbeats of a decoder that waits for room
IDLE_POLL_S = 5.0  # other programs (`maclip retry`) queue work too; an indexed query costs microseconds
DECODER_IDLE_EXIT_S = 30.0
LEEWAY_S = 60.0  # beyond the limits of a child before its thread counts as stalled: the database may be busy
NEEDED = (SPOOL, DECODER, MODEL, POWER, *WANTED_PAUSES)


class ScoringStage:
    """The scoring stage: several threads decode photos, one scores them."""

    def __init__(
        self,
        score_jobs: ScoreJobs,
        state: RunState,
        settings: Settings,
        client: ScorerClient,
        decoders: Sequence[Decoder],
    ) -> None:
        self._jobs = score_jobs
        self._state = state
        self._settings = settings
        self._client = client
        self._ahead = LookAhead(
            state.work_arrived,
            LOOK_AHEAD_BATCHES * settings.scoring.batch_photos,
            settings.decoding.look_ahead_mb << 20,
        )
        self.decoders = decoders

    def decode_loop(self, index: int) -> None:
        """Decode jobs in one thread until the run stops."""
        decoder = self.decoders[index]
        part = f"decoder {index + 1}"
        heartbeat_timeout_s = START_TIMEOUT_S + self._settings.decoding.timeout_s + 2 * IDLE_POLL_S + LEEWAY_S
        last_worked = time.monotonic()
        try:
            while not self._state.stopping.is_set():
                self._state.heartbeat.beat(part, heartbeat_timeout_s)
                job = None if self._state.waits.is_waiting(*NEEDED) else self._jobs.take()
                if job is None:
                    if time.monotonic() - last_worked > DECODER_IDLE_EXIT_S:
                        decoder.close()
                    self._state.wait_for_work(IDLE_POLL_S)
                    continue
                self._decode(decoder, job, part, heartbeat_timeout_s)
                last_worked = time.monotonic()
        finally:
            decoder.close()
            self._discard_waiting()

    def score_loop(self) -> None:
        """Score and store batches of decoded photos until the run stops."""
        heartbeat_timeout_s = self._scorer_heartbeat_timeout_s()
        try:
            while not self._state.stopping.is_set():
                self._state.heartbeat.beat("scorer", heartbeat_timeout_s)
                batch = self._ahead.take(self._settings.scoring.batch_photos, IDLE_POLL_S)
                if batch:
                    self._score(batch)
                else:
                    self._client.close_if_idle(time.monotonic())
        finally:
            self._client.close()
            self._discard_waiting()

    def _discard_waiting(self) -> None:
        """Remove the decoded photos. Every thread does so as it ends; the last one empties the spool."""
        for ready in self._ahead.take_all():
            ready.photo.discard()

    def _decode(self, decoder: Decoder, job: LeasedJob, part: str, heartbeat_timeout_s: float) -> None:
        try:
            with self._state.stage_times.measured("decode"):
                photo = decoder.decode(Path(job.path), self._jobs.known_hash(job))
        except errors.NoSpace as error:
            self._jobs.pause(SPOOL, str(error), [job])
            return
        except errors.EnvironmentUnfit as error:
            self._jobs.pause(DECODER, str(error), [job])
            return
        except errors.MaclipError as error:
            self._jobs.fail(job, error)
            return
        # A small photo needs no room in the spool; it ends that pause only when its time is over.
        self._state.waits.end(SPOOL, if_over=photo.spooled is None)
        self._state.waits.end(DECODER)
        if not self._jobs.is_unchanged(job):
            photo.discard()
            self._jobs.fail(job, errors.FileChanged("The file changed while it was read; it is tried again."))
            return
        if self._take_over(job, photo):
            photo.discard()
            return
        while not self._state.stopping.is_set():
            self._state.heartbeat.beat(part, heartbeat_timeout_s)
            if self._ahead.put(Ready(job, photo), ROOM_POLL_S):
                return
        photo.discard()

    def _take_over(self, job: LeasedJob, photo: DecodedPhoto) -> bool:
        """Store a score of the same pixels that exists already; return whether there is one."""
        known = self._jobs.known_score(photo)
        found = known or self._jobs.score_elsewhere(photo)
        if found is None:
            return False
        if self._jobs.store([(job, photo, found)]):
            self._state.count(copied=1 if known else 0, imported=0 if known else 1)
        return True

    def _score(self, batch: list[Ready]) -> None:
        try:
            with self._state.stage_times.measured("score", len(batch)):
                results = self._client.score([ready.block for ready in batch])
        except errors.EnvironmentUnfit as error:
            self._pause(batch, str(error))
            return
        except errors.MaclipError as error:
            self._score_one_by_one(batch, error)
            return
        self._state.waits.end(MODEL)
        stored = []
        for ready, result in zip(batch, results, strict=True):
            ready.photo.discard()
            if isinstance(result, PhotoScore):
                stored.append((ready.job, ready.photo, row_of(result)))
            else:
                self._jobs.fail(ready.job, result)
        self._jobs.store(stored)

    def _score_one_by_one(self, batch: list[Ready], error: errors.MaclipError) -> None:
        """Find the photo that lost a batch, so that only it counts an attempt."""
        if len(batch) == 1:
            batch[0].photo.discard()
            self._jobs.fail(batch[0].job, error)
            return
        log.warning("a batch was lost; scoring its photos one by one", reason=str(error), photos=len(batch))
        for position, ready in enumerate(batch):
            if self._state.waits.is_waiting(MODEL):  # the device is to blame, not a photo
                self._pause(batch[position:], self._state.waits.reasons()["model"])
                return
            if self._state.stopping.is_set():
                ready.photo.discard()
                continue
            self._state.heartbeat.beat("scorer", self._scorer_heartbeat_timeout_s())
            self._score([ready])

    def _scorer_heartbeat_timeout_s(self) -> float:
        """Return the sum of the limits: a new process starts, loads the model, and scores."""
        return START_TIMEOUT_S + 2 * self._settings.scoring.timeout_s + LEEWAY_S

    def _pause(self, batch: list[Ready], reason: str) -> None:
        for ready in batch:
            ready.photo.discard()
        self._jobs.pause(MODEL, reason, [ready.job for ready in batch])
