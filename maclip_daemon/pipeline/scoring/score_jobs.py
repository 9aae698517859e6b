"""Score jobs as the library keeps them: leased, then ended by a score or a failure, or released.

A score and the end of its job are one transaction. After a crash in between, the job is done again.
"""

from __future__ import annotations

import collections
import os
import threading
from pathlib import Path
from typing import Protocol

from maclip_daemon import errors
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.library.photos import missing_photos, photo_info
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.results import measured_qualities, scores
from maclip_daemon.library.results.measured_qualities import MeasuredQualities
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Session
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.measures.known_values import known_values
from maclip_daemon.pipeline import file_stability, pairing
from maclip_daemon.pipeline.bursts import regrouping, shot_records
from maclip_daemon.pipeline.bursts.best_frame import FRAMING_SPREAD
from maclip_daemon.pipeline.run_state import ROOT_CHECK_S, FailedPhoto, Roots, StageContext, log
from maclip_daemon.pipeline.waits import Resource, retry_policy


class ScoreSource(Protocol):
    """Scores that were computed elsewhere with this run's scoring configuration. Thread-safe."""

    def score_of(self, pixel_hash: str) -> scores.ScoreRow | None:
        """Return the score of a picture; None where it was not scored there."""


class ScoreJobs:
    """The score jobs of one run. Thread-safe."""

    def __init__(
        self,
        context: StageContext,
        roots: Roots,
        look_ahead: int,
        elsewhere: ScoreSource | None = None,
    ) -> None:
        """Lease `look_ahead` jobs at a time. `elsewhere`: where scores may be found ready."""
        self._elsewhere = elsewhere
        self._library = context.library
        self._state = context.state
        self._settings = context.settings
        self._scoring_config_id = context.scoring_config_id
        self._worker = context.worker
        self._look_ahead = look_ahead
        self._roots = roots
        self._leased: collections.deque[LeasedJob] = collections.deque()
        self._lease_lock = threading.Lock()

    def take(self) -> LeasedJob | None:
        """Lease a job that is due; return None without one."""
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
                            paused_devices=self._state.waits.devices("offline disk"),
                        )
                    )
            return self._leased.popleft() if self._leased else None

    def known_hash(self, job: LeasedJob) -> str | None:
        """Return the pixel hash of this photo from before its file changed."""
        with self._library.reading() as session:
            return photo_info.pixel_hash_of(session, job.photo_id)

    def known_score(self, photo: DecodedPhoto) -> scores.ScoreRow | None:
        """Return the score of equal pixels: of another file, or from before a metadata edit."""
        hashes = filter(None, (photo.pixel_hash, photo.former_hash))
        with self._library.reading() as session:
            found = (scores.find_by_pixel_hash(session, each, self._scoring_config_id) for each in hashes)
            return next((score for score in found if score is not None), None)

    def score_elsewhere(self, photo: DecodedPhoto) -> scores.ScoreRow | None:
        """Return the score of the same pixels that was computed elsewhere, in an archive."""
        return None if self._elsewhere is None else self._elsewhere.score_of(photo.pixel_hash)

    def store(self, scored: list[tuple[LeasedJob, DecodedPhoto, scores.ScoreRow]]) -> int:
        """Store scores and end their jobs in one transaction; return how many counted."""
        if not scored:
            return 0
        now = self._state.clock()
        with self._library.writing() as session:
            current = jobs.finish(session, [job for job, _, _ in scored], self._worker)
            # Where the file changed meanwhile, the job is queued again.
            finished = [each for each in scored if each[0].id in current]
            pictures = {job.photo_id: photo.pixel_hash for job, photo, _ in finished}
            # The file was read again, and its picture is the one that was scored then.
            kept = scores.keep(session, self._scoring_config_id, pictures)
            photo_info.set_photo_info(
                session, {job.photo_id: _photo_info(photo) for job, photo, _ in finished}
            )
            measured_qualities.record(session, {job.photo_id: _measured(photo) for job, photo, _ in finished})
            rows = [(job.photo_id, row) for job, _, row in finished if job.photo_id not in kept]
            scores.record(session, self._scoring_config_id, rows, now)
            shot_records.record(session, {job.photo_id: photo for job, photo, _ in finished})
            moved = regrouping.regroup(session, FRAMING_SPREAD).changed
            to_rate = self._link([job for job, _, _ in finished], session)
            if any(not job.is_again for job, _, _ in finished):
                to_rate += [photo_id for photo_id in moved if photo_id not in to_rate]
            if self._state.is_calibrated and self._settings.rating.mode != "off":
                jobs.enqueue(session, to_rate, "rate", now)
            counted = len(finished)
            # Count before other threads see that the jobs are gone: else `--once` could end before the
            # calibration was considered.
            self._state.count(scored=counted)
        log.debug("scored", photos=counted)
        self._state.wake()
        return counted

    def _link(self, finished: list[LeasedJob], session: Session) -> list[int]:
        """Link pairs; return the photos whose stars these scores decide now.

        Those of photos that are scored again follow together, when all have been.
        """
        again = [job.photo_id for job in finished if job.is_again]
        if again:
            pairing.add(session, self._settings.rating, again)
        fresh = [job.photo_id for job in finished if not job.is_again]
        return pairing.add(session, self._settings.rating, fresh) if fresh else []

    def is_unchanged(self, job: LeasedJob) -> bool:
        """Return whether a photo still is the file that discovery found."""
        return file_stability.is_unchanged(self._library, self._state.probe, job.path, job.photo_id)

    def fail(self, job: LeasedJob, error: errors.MaclipError) -> None:
        """Record a failure, or mark a photo that is gone as missing.

        Files that other programs are writing are retried without end. Offline roots do not count as attempts.
        """
        now = self._state.clock()
        if not self.is_unchanged(job):
            error = errors.FileChanged(file_stability.BEING_WRITTEN)
        if errors.may_be_the_disks_fault(error):
            if self._roots.is_offline(job.path):
                self._wait_for_root(job)
                return
            self._roots.check_photo_soon(job.path)
        has_changed = isinstance(error, errors.FileChanged)
        is_gone = has_changed and self._is_gone(job)
        with self._library.writing() as session:
            if has_changed and photo_paths.path_of(session, job.photo_id) != job.path:  # renamed meanwhile
                jobs.release(session, [job], self._worker, now)
                return
            if is_gone:
                missing_photos.mark_missing(session, [job.photo_id], now)
                return
            outcome = jobs.fail(
                session,
                job,
                self._worker,
                str(error),
                now,
                poison=isinstance(error, errors.Poison),
                policy=retry_policy(self._settings.jobs, error),
                failure=error.failure,
            )
        if outcome == "dead":
            self._state.tally.failed.append(FailedPhoto(Path(job.path), str(error)))
            log.warning("photo failed", photo=job.path, reason=str(error))
        else:
            log.info("photo will be tried again", photo=job.path, reason=str(error))

    def _wait_for_root(self, job: LeasedJob) -> None:
        reason = f"The disk of {job.path} cannot be read."
        self._roots.check_root_soon(job.path)
        self._state.waits.begin(Resource("offline disk", job.device), reason)
        with self._library.writing() as session:
            jobs.release(session, [job], self._worker, self._state.clock())
        self._state.wait_for_work(ROOT_CHECK_S)

    def _is_gone(self, job: LeasedJob) -> bool:
        return self._state.probe.call_or(job.path, lambda: not os.path.lexists(job.path), default=False)

    def pause(self, resource: Resource, reason: str, held: list[LeasedJob]) -> None:
        """Wait for a resource. The jobs stay leased and are done afterwards."""
        self._state.waits.begin(resource, reason)
        with self._lease_lock:
            self._leased.extendleft(reversed(held))


def _photo_info(photo: DecodedPhoto) -> photo_info.PhotoInfo:
    return photo_info.PhotoInfo(
        photo.photo_width,
        photo.photo_height,
        photo.taken_at,
        photo.pixel_hash,
        photo.former_hash,
        camera=photo.shot.camera,
        lens=photo.shot.lens,
    )


def _measured(photo: DecodedPhoto) -> MeasuredQualities | None:
    """Return the measured qualities of a photo as the library stores them."""
    if photo.measures is None:
        return None
    return MeasuredQualities(**known_values(photo.measures, photo.photo_width, photo.photo_height))


def row_of(score: PhotoScore) -> scores.ScoreRow:
    """Return a score as the library stores it."""
    return scores.ScoreRow(**score.as_columns())
