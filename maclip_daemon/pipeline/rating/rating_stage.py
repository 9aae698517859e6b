"""Ratings: write each photo's stars where photo managers look.

Every write is in the journal before the file is replaced. A photo that a person rated is left alone.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.library.queue.jobs import LeasedJob
from maclip_daemon.library.results import calibration as calibrations
from maclip_daemon.library.results.calibration import Calibration
from maclip_daemon.library.results.rating_subjects import RatingSubject, rating_subjects
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.database_errors import DatabaseBusy, DatabaseFull
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import QualityProperties, RatingRequest
from maclip_daemon.pipeline import file_stability
from maclip_daemon.pipeline.pauses import PhotoDisk
from maclip_daemon.pipeline.rating import darktable_edits
from maclip_daemon.pipeline.rating.calibration_stage import CalibrationStage
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor, queue_changed_files
from maclip_daemon.pipeline.rating.rate_jobs import PreparedJobs, RateJobs
from maclip_daemon.pipeline.recovery import remove_strays, settle_doubtful
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import RatingSettings

BATCH_PHOTOS = 32  # ratings that share two transactions and one flush a folder
IDLE_LOOK_S = 5.0
WRITER_IDLE_EXIT_S = 60.0
HEARTBEAT_TIMEOUT_S = 60.0


class RatingStage:
    """The rating thread: rate jobs, and calibration between them."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        settings: RatingSettings,
        writer: MetadataWriter,
        scoring_config_id: int,
        rate_jobs: RateJobs,
    ) -> None:
        self._library = library
        self._state = state
        self._settings = settings
        self._jobs = rate_jobs
        self._writer = writer
        self._scoring_config_id = scoring_config_id
        self._failed: set[int] = set()
        """Photos whose last attempt failed: what was prepared for them may be where their folder is now."""
        self.looked_at_files = False
        """Whether the files of earlier runs were looked at."""

    def run(self, calibrating: CalibrationStage, sidecar_monitor: SidecarMonitor) -> None:
        """Work until the run stops."""
        last_worked = time.monotonic()
        if self._settings.mode != "off":
            queue_changed_files(self._library, self._state)
        self.looked_at_files = True
        try:
            while not self._state.stopping.is_set():
                self._state.heartbeat.beat("rating", BATCH_PHOTOS * HEARTBEAT_TIMEOUT_S)
                calibrating.renew_if_due()
                if self._settings.mode != "off":
                    sidecar_monitor.look(self._writer, self._scoring_config_id)
                    self._state.heartbeat.beat("rating", BATCH_PHOTOS * HEARTBEAT_TIMEOUT_S)
                resting = self._settings.mode == "off" or self._state.pauses.any_of("metadata")
                if not resting and self.work():
                    last_worked = time.monotonic()
                    continue
                if time.monotonic() - last_worked > WRITER_IDLE_EXIT_S:
                    self._writer.close()
                self._state.wait_for_work(IDLE_LOOK_S)
        finally:
            self._writer.close()

    def work(self) -> bool:
        """Carry out one batch of rate jobs; False when none is due."""
        held = self._jobs.take(BATCH_PHOTOS)
        if not held:
            return False
        self._attempt(held)
        return True

    def _attempt(self, held: list[LeasedJob]) -> None:
        """Rate these photos; one by one after the metadata process was lost, to find the one to blame."""
        try:
            with self._leaving_no_strays(held):
                self._rate(held)
        except (DatabaseBusy, DatabaseFull):
            raise  # nothing can be remembered: the whole run rests, and its successor recovers
        except errors.EnvironmentUnfit as error:
            self._state.pauses.begin("metadata", str(error))
            self._jobs.release(held)
        except errors.MaclipError as error:
            if len(held) == 1:
                self._fail(held[0], error)
                return
            for job in self._jobs.release_offline(held):
                if self._state.stopping.is_set():
                    return
                self._state.heartbeat.beat("rating", BATCH_PHOTOS * HEARTBEAT_TIMEOUT_S)
                self._attempt([job])

    @contextlib.contextmanager
    def _leaving_no_strays(self, held: list[LeasedJob]) -> Iterator[None]:
        """Whatever ends an attempt: files that were prepared and did not come to their place are removed."""
        try:
            yield
        except BaseException:
            self._remove_strays(held)
            raise

    def _rate(self, held: list[LeasedJob]) -> None:
        self._remove_what_moved_along(held)
        photo_ids = {job.photo_id for job in held}
        settle_doubtful(self._library, self._state.probe, self._state.clock(), photo_ids)
        with self._library.reading() as session:
            calibration = calibrations.current(session, self._scoring_config_id)
            subjects = {
                subject.photo_id: subject
                for subject in rating_subjects(
                    session, [job.photo_id for job in held], self._scoring_config_id
                )
            }
        by_photo = {job.photo_id: job for job in held}
        ready = [subjects[job.photo_id] for job in held if job.photo_id in subjects] if calibration else []
        self._jobs.finish([job for job in held if calibration is None or job.photo_id not in subjects])
        if calibration is None or not ready:
            return
        results = darktable_edits.hold_back(
            self._writer.prepare_many([self._request(subject, calibration) for subject in ready]),
            self._writer,
            self._settings.darktable_library,
        )
        self._state.pauses.end("metadata")
        prepared: PreparedJobs = []
        full: list[tuple[LeasedJob, errors.NoSpace]] = []
        for subject, result in zip(ready, results, strict=True):
            job = by_photo[subject.photo_id]
            if isinstance(result, errors.NoSpace):
                full.append((job, result))
            elif isinstance(result, errors.MaclipError):
                self._fail(job, result)
            elif result.status != "prepared":
                self._jobs.leave(job, result)
            elif not file_stability.is_unchanged(self._library, self._state.probe, job.path):
                # A sidecar made from half a photo would lack the title and the tags that are in it.
                self._writer.discard(result)
                self._fail(job, errors.FileChanged(file_stability.BEING_WRITTEN))
            else:
                prepared.append((job, result))
        full += self._commit(prepared)
        for device in {job.device for job, _ in prepared} - {job.device for job, _ in full}:
            self._state.pauses.end(PhotoDisk(device))
        self._rest(full)

    def _fail(self, job: LeasedJob, error: errors.MaclipError) -> None:
        self._failed.add(job.photo_id)
        self._jobs.fail(job, error)

    def _remove_what_moved_along(self, held: list[LeasedJob]) -> None:
        """A folder that is renamed takes along what was prepared in it, to where nobody had told of yet.

        Its photos are rated again at their new place, and nothing else is in hand at this moment.
        """
        again = [job for job in held if job.photo_id in self._failed]
        self._remove_strays(again)
        self._failed.difference_update(job.photo_id for job in again)

    def _remove_strays(self, jobs: list[LeasedJob]) -> None:
        remove_strays(self._state.probe, {Path(job.path).parent for job in jobs}, self._state.clock())

    def _rest(self, full: list[tuple[LeasedJob, errors.NoSpace]]) -> None:
        """Let the ratings of these disks wait for space; those of other disks go on."""
        for job, error in full:
            self._state.pauses.begin(PhotoDisk(job.device), str(error))
        self._jobs.release([job for job, _ in full])

    def _request(self, subject: RatingSubject, calibration: Calibration) -> RatingRequest:
        percentile = calibrations.percentile_for(calibration, subject.score)
        reject_below = self._settings.reject_below_percentile
        return RatingRequest(
            photo=Path(subject.path),
            quality=QualityProperties(
                score=subject.score,
                percentile=percentile,
                stars=calibrations.stars_for(calibration, subject.score),
                metric=subject.metric,
                model=subject.model,
                protocol=subject.protocol,
                scored_at=datetime.fromisoformat(subject.scored_at),
            ),
            mode="embed" if self._settings.mode == "embed" else "sidecar",
            last_written=subject.stars_written,
            bucket_tags=self._settings.bucket_tags,
            reject=percentile is not None and percentile < reject_below,
        )

    def _commit(self, prepared: PreparedJobs) -> list[tuple[LeasedJob, errors.NoSpace]]:
        """Put the prepared files in their places; those for which there was no space are given."""
        if not prepared:
            return []
        try:
            entries = self._jobs.intend_all(prepared)
        except errors.Transient:
            for _, result in prepared:
                self._writer.discard(result)
            raise
        try:
            outcomes = self._writer.commit_many([result for _, result in prepared])
        except errors.MaclipError as lost:
            self._jobs.settle_all(prepared, entries, [lost] * len(prepared))
            raise
        self._jobs.settle_all(prepared, entries, outcomes)
        for (job, _), error in zip(prepared, outcomes, strict=True):
            if error is not None and not isinstance(error, errors.NoSpace):
                self._fail(job, error)
        return [
            (job, error)
            for (job, _), error in zip(prepared, outcomes, strict=True)
            if isinstance(error, errors.NoSpace)
        ]
