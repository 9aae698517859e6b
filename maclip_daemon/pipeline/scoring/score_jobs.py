"""Score jobs as the library keeps them: taken under a lease, and ended by a score, a failure or a rest.

A score and the end of its job are one transaction; whatever dies in between, the job comes back.
"""

from __future__ import annotations

import collections
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.library.photos import missing_photos, photo_info
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.queue.jobs import RetryPolicy
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.pipeline import file_stability, pairing
from maclip_daemon.pipeline.pauses import Resource
from maclip_daemon.pipeline.run_state import LOOK_AT_ROOT_S, FailedPhoto, RunState, log
from maclip_daemon.settings import Settings

ATTRIBUTES = ("good", "sharpness", "edges", "resolution", "noise_free")


class ScoreJobs:
    """The score jobs of one run. Thread-safe."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        settings: Settings,
        scoring_config_id: int,
        worker: str,
        look_ahead: int,
        is_offline: Callable[[str], bool],
    ) -> None:
        """`look_ahead`: how many jobs are leased at a time. `is_away`: whether a photo's root is away."""
        self._library = library
        self._state = state
        self._settings = settings
        self._scoring_config_id = scoring_config_id
        self._worker = worker
        self._look_ahead = look_ahead
        self._is_away = is_offline
        self._policy = RetryPolicy(settings.jobs.max_attempts, settings.jobs.retry_base_s)
        self._changing_file_policy = RetryPolicy(sys.maxsize, settings.jobs.retry_base_s)
        self._leased: collections.deque[LeasedJob] = collections.deque()
        self._lease_lock = threading.Lock()

    def take(self) -> LeasedJob | None:
        """Give a job that is due, or None."""
        with self._lease_lock:
            if not self._leased:
                now, lease_s = self._state.clock(), self._settings.jobs.lease_s
                with self._library.reading() as session:
                    due = jobs.next_due(session, "score")
                if due is None or due > now:
                    return None  # an idle daemon writes nothing
                with self._library.writing() as session:
                    self._leased.extend(
                        leases.lease(
                            session,
                            "score",
                            self._worker,
                            now,
                            lease_s,
                            self._look_ahead,
                            paused_devices=self._state.away.devices(),
                        )
                    )
            return self._leased.popleft() if self._leased else None

    def known_hash(self, job: LeasedJob) -> str | None:
        """Give what the library knows the picture of this photo by, from before the file changed."""
        with self._library.reading() as session:
            return photo_info.pixel_hash_of(session, job.photo_id)

    def known_score(self, photo: DecodedPhoto) -> scores.ScoreRow | None:
        """Give the score of the same picture under another name, or of before a metadata edit."""
        hashes = filter(None, (photo.pixel_hash, photo.former_hash))
        with self._library.reading() as session:
            found = (scores.find_by_pixel_hash(session, each, self._scoring_config_id) for each in hashes)
            return next((score for score in found if score is not None), None)

    def store(self, scored: list[tuple[LeasedJob, DecodedPhoto, scores.ScoreRow]]) -> int:
        """Store scores and end their jobs in one transaction; how many counted."""
        if not scored:
            return 0
        now = self._state.clock()
        with self._library.writing() as session:
            current = jobs.finish(session, [job for job, _, _ in scored], self._worker)
            # Where the file changed meanwhile, the job is queued again.
            finished = [each for each in scored if each[0].id in current]
            photo_info.set_photo_info(session, {job.photo_id: _facts(photo) for job, photo, _ in finished})
            rows = [(job.photo_id, row) for job, _, row in finished]
            scores.record(session, self._scoring_config_id, rows, now)
            to_rate = pairing.add(session, self._settings.rating, [job.photo_id for job, _, _ in finished])
            if self._state.is_calibrated and self._settings.rating.mode != "off":
                jobs.enqueue(session, to_rate, "rate", now)
            counted = len(finished)
            # Counted before the jobs are seen to be gone: `--once` must not end before the calibration
            # was considered.
            self._state.count(scored=counted)
        log.debug("scored", photos=counted)
        self._state.wake()
        return counted

    def is_unchanged(self, job: LeasedJob) -> bool:
        """Whether a photo still is the file that was found to be whole; else somebody writes it anew."""
        return file_stability.is_unchanged(self._library, self._state.probe, job.path)

    def fail(self, job: LeasedJob, error: errors.MaclipError) -> None:
        """Record a failed attempt; a photo that is gone is missing, not failed.

        A file that is written anew while it waits for its turn is scored when it is whole again: until then
        it is tried with growing pauses, and never given up.
        """
        now = self._state.clock()
        if not self.is_unchanged(job):
            error = errors.FileChanged(file_stability.BEING_WRITTEN)
        if errors.may_be_the_disks_fault(error) and self._is_away(job.path):
            self._state.away.add(job.device)
            with self._library.writing() as session:
                jobs.release(session, [job], self._worker, now)
            self._state.wait_for_work(LOOK_AT_ROOT_S)
            return
        is_gone = isinstance(error, errors.FileChanged) and self._is_gone(job)
        with self._library.writing() as session:
            if is_gone:
                if photo_paths.path_of(session, job.photo_id) == job.path:
                    missing_photos.mark_missing(session, [job.photo_id], now)
                else:  # renamed meanwhile
                    jobs.release(session, [job], self._worker, now)
                return
            outcome = jobs.fail(
                session,
                job,
                self._worker,
                str(error),
                now,
                poison=isinstance(error, errors.Poison),
                policy=self._changing_file_policy if isinstance(error, errors.FileChanged) else self._policy,
            )
        if outcome == "dead":
            self._state.tally.failed.append(FailedPhoto(Path(job.path), str(error)))
            log.warning("photo failed", photo=job.path, reason=str(error))
        else:
            log.info("will be tried again", photo=job.path, reason=str(error))

    def _is_gone(self, job: LeasedJob) -> bool:
        return self._state.probe.call_or(job.path, lambda: not os.path.lexists(job.path), default=False)

    def rest(self, resource: Resource, reason: str, held: list[LeasedJob]) -> None:
        """Rest until there is space, or a model, again. The work stays leased and is done then."""
        self._state.pauses.begin(resource, reason)
        with self._lease_lock:
            self._leased.extendleft(reversed(held))


def _facts(photo: DecodedPhoto) -> photo_info.PhotoInfo:
    return photo_info.PhotoInfo(
        photo.photo_width, photo.photo_height, photo.taken_at, photo.pixel_hash, photo.former_hash
    )


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
