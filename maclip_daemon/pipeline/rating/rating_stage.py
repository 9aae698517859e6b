"""The rating stage: write each photo's stars where photo managers look.

Every write is in the journal before the file is replaced. A photo that a person rated is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.library.photos.raw_jpeg_pairs import PairedPhoto
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.results.rating_subjects import RatingSubject
from maclip_daemon.library.storage.database_errors import DatabaseBusy, DatabaseFull
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Partner, Prepared, QualityProperties, RatingRequest
from maclip_daemon.photos.measures.reasons import SEPARATOR
from maclip_daemon.pipeline import file_stability, intended_write, journal_compaction
from maclip_daemon.pipeline.rating import sidecar_naming
from maclip_daemon.pipeline.rating.calibration_stage import CalibrationStage
from maclip_daemon.pipeline.rating.darktable_check import (
    OVER_FIRST_STARS,
    SLOW_FOLDER_S,
    CheckedPhoto,
    DarktableCheck,
)
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.rating.rate_jobs import PreparedJobs, RateJobs
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.pipeline.waits import METADATA, WANTED_PAUSES, Resource
from maclip_daemon.settings import RatingSettings

BATCH_PHOTOS = 32  # ratings that share two transactions and one flush a folder
IDLE_POLL_S = 5.0
WRITER_IDLE_EXIT_S = 60.0
HEARTBEAT_TIMEOUT_S = 60.0

FullDisks = list[tuple[LeasedJob, errors.NoSpace]]


class RatingStage:
    """The rating thread: rate jobs, with calibration and sidecar checks between them."""

    def __init__(
        self,
        rate_jobs: RateJobs,
        state: RunState,
        settings: RatingSettings,
        writer: MetadataWriter,
        darktable_patience_s: float = SLOW_FOLDER_S,
    ) -> None:
        """`darktable_patience_s`: see `DarktableCheck`."""
        self._jobs = rate_jobs
        self._state = state
        self._settings = settings
        self._writer = writer
        self._darktable = DarktableCheck(
            rate_jobs.library, writer, settings.darktable_libraries, darktable_patience_s
        )
        self._library_id = rate_jobs.library_id()
        self._failed: set[int] = set()
        """Photos whose last attempt failed: a rename may have taken their temporary files along."""
        self._left_in: set[Path] = set()
        """Folders that were offline when a write into them failed."""
        self.has_checked_files = False
        """Whether this run has checked the files that earlier runs wrote."""

    def run(self, calibrating: CalibrationStage, sidecar_monitor: SidecarMonitor) -> None:
        """Work until the run stops."""
        is_off = self._settings.mode == "off"
        last_worked = time.monotonic()
        if not is_off:
            sidecar_monitor.check_all()
        journal_compaction.compact_all(self._jobs.library, self._state.stopping.is_set)
        self.has_checked_files = True
        try:
            while not self._state.stopping.is_set():
                self._beat()
                calibrating.renew_if_due()
                if not is_off:
                    sidecar_monitor.check(self._writer)
                    self._beat()
                is_held = is_off or self._state.waits.is_waiting(METADATA, *WANTED_PAUSES)
                if not is_held and self.work():
                    last_worked = time.monotonic()
                    continue
                if time.monotonic() - last_worked > WRITER_IDLE_EXIT_S:
                    self._writer.close()
                self._state.wait_for_work(IDLE_POLL_S)
        finally:
            self._writer.close()

    def work(self) -> bool:
        """Carry out one batch of rate jobs; return False when none is due."""
        self._remove_left()
        held = self._jobs.take(BATCH_PHOTOS)
        if not held:
            return False
        self._attempt(held)
        return True

    def _beat(self) -> None:
        self._state.heartbeat.beat("rating", BATCH_PHOTOS * HEARTBEAT_TIMEOUT_S)

    def _attempt(self, held: list[LeasedJob]) -> None:
        """Rate these photos; one by one after the metadata process was lost, to find the one to blame."""
        try:
            with contextlib.ExitStack() as after_an_error:
                after_an_error.callback(self._remove_left, held)
                with self._state.stage_times.measured("rate", len(held)):
                    self._rate(held)
                after_an_error.pop_all()
        except (DatabaseBusy, DatabaseFull):
            raise  # nothing can be stored: the whole run pauses, and its successor recovers
        except errors.EnvironmentUnfit as error:
            self._state.waits.begin(METADATA, str(error))
            self._jobs.release(held)
        except errors.MaclipError as error:
            if len(held) == 1:
                self._fail(held[0], error)
                return
            for job in self._jobs.release_offline(held):
                if self._state.stopping.is_set():
                    return
                self._beat()
                self._attempt([job])

    def _rate(self, held: list[LeasedJob]) -> None:
        # A renamed folder takes along what was prepared in it. Its photos are retried at their new place.
        retried = [job for job in held if job.photo_id in self._failed]
        self._remove_left(retried)
        self._failed.difference_update(job.photo_id for job in retried)
        self._jobs.settle_unconfirmed(held)
        self._jobs.follow_moved(held)
        subjects = self._jobs.subjects(held)
        self._jobs.finish([job for job in held if job.photo_id not in subjects])
        ready = []
        for job in held:
            if (subject := subjects.get(job.photo_id)) is None:
                continue
            if subject.is_held:
                self._look_at(job, subject)
            else:
                ready.append(job)
        if not ready:
            return
        prepared, full = self._prepare(ready, [subjects[job.photo_id] for job in ready])
        full += self._commit(prepared)
        full_devices = {job.device for job, _ in full}
        for device in {job.device for job, _ in prepared} - full_devices:
            self._state.waits.end(Resource("full disk", device))
        for job, no_space in full:
            self._state.waits.begin(Resource("full disk", job.device), str(no_space))
        self._jobs.release([job for job, _ in full])

    def _prepare(
        self, ready: list[LeasedJob], subjects: list[RatingSubject]
    ) -> tuple[PreparedJobs, FullDisks]:
        """Prepare the files of these jobs, and end the jobs that write nothing."""
        partners = self._jobs.partners([subject.photo_id for subject in subjects])
        sidecar_name = sidecar_naming.asked_name(self._settings.sidecar_name)
        requests = [
            replace(self._request(each, partners.get(each.photo_id, [])), sidecar_name=sidecar_name)
            for each in subjects
        ]
        results = self._darktable.apply(
            self._writer.prepare_many(requests),
            [
                CheckedPhoto(each.photo_id, each.stars_written, _may_replace_first_star(each))
                for each in subjects
            ],
        )
        self._state.waits.end(METADATA)
        contested = self._jobs.examine(ready, results)
        prepared: PreparedJobs = []
        full: FullDisks = []
        for job, subject, result in zip(ready, subjects, results, strict=True):
            if isinstance(result, errors.NoSpace):
                full.append((job, result))
            elif isinstance(result, errors.MaclipError):
                self._fail(job, result)
            elif job.photo_id in contested:
                if result.status == "prepared":
                    self._writer.discard(result)
                self._jobs.finish_contested(job)
            elif (left := _without_stars(subject, result)) is not None:
                if result.status == "prepared":
                    self._writer.discard(result)
                self._jobs.finish_unwritten(job, left)
            elif result.status != "prepared":
                self._jobs.finish_unwritten(job, result)
            elif not self._jobs.is_unchanged(job):
                # A sidecar made from half a photo would lack the title and the tags that are in it.
                self._writer.discard(result)
                self._fail(job, errors.FileChanged(file_stability.BEING_WRITTEN))
            else:
                prepared.append((job, result))
        return prepared, full

    def _look_at(self, job: LeasedJob, subject: RatingSubject) -> None:
        """Learn whether a person rated a photo that `maclip undo` holds; write nothing."""
        try:
            found = self._writer.inspect(Path(subject.path), subject.stars_written)
        except errors.Poison:  # a damaged sidecar: nobody asked for stars here
            found = None
        self._state.waits.end(METADATA)
        self._jobs.finish_held(job, subject, found)

    def _commit(self, prepared: PreparedJobs) -> FullDisks:
        """Put the prepared files in their places; return the jobs whose disks are full."""
        jobs = self._jobs
        committed = intended_write.commit_journalled(self._writer, prepared, jobs.intend_all, jobs.settle_all)
        full: FullDisks = []
        for job, _, error in committed:
            if isinstance(error, errors.NoSpace):
                full.append((job, error))
            elif error is not None:
                self._fail(job, error)
        return full

    def _remove_left(self, of: Sequence[LeasedJob] = ()) -> None:
        """Remove what failed attempts prepared, also in the folders of these photos.

        A disk that went away keeps it until it is back, and its photo may be in another folder then.
        """
        self._left_in |= {Path(job.path).parent for job in of}
        if self._left_in:
            self._left_in = self._jobs.remove_strays(self._left_in)

    def _fail(self, job: LeasedJob, error: errors.MaclipError) -> None:
        self._failed.add(job.photo_id)
        if self._jobs.fail(job, error):
            self._left_in.add(Path(job.path).parent)

    def _request(self, subject: RatingSubject, partners: Sequence[PairedPhoto]) -> RatingRequest:
        assert subject.stars is not None  # the jobs of the others were finished
        percentile = subject.percentile
        reject_below = self._settings.reject_below_percentile
        return RatingRequest(
            photo=Path(subject.path),
            quality=QualityProperties(
                score=subject.score,
                percentile=percentile,
                stars=subject.stars,
                metric=subject.metric,
                model=subject.model,
                protocol=subject.protocol,
                scored_at=datetime.fromisoformat(subject.scored_at),
                reasons=tuple(subject.reasons.split(SEPARATOR)) if subject.reasons else (),
            ),
            mode="embed" if self._settings.mode == "embed" else "sidecar",
            last_written=subject.stars_written,
            bucket_tags=self._settings.bucket_tags,
            reject=percentile is not None and percentile < reject_below,
            first_star=subject.rating_in_file if _may_replace_first_star(subject) else None,
            pixel_hash=subject.pixel_hash,
            library_id=self._library_id,
            partners=tuple(
                Partner(Path(each.path), each.stars_written, each.is_without_stars) for each in partners
            ),
            may_replace=subject.may_replace,
            burst_id=burst_digest(subject.burst_series, subject.burst_moment),
            burst_rank=subject.burst_rank,
            is_tagged_best=self._settings.burst_tags
            and (subject.burst_kind, subject.burst_rank) == ("burst", 1),
        )


def burst_digest(series: int | None, moment: int | None) -> str | None:
    """Return the name of a group for other programs: the same in every library that knows its photos."""
    if series is None or moment is None:
        return None
    # A series below 0 is a folder's number, which another library has for another folder.
    return hashlib.blake2b(f"{max(series, 0)} {moment}".encode("ascii"), digest_size=8).hexdigest()


def _without_stars(subject: RatingSubject, result: Prepared) -> Prepared | None:
    """Return the result for a photo from whose sidecar a person took their own star away; None for others.

    Only the library knows that there was one. A 0 in the photo itself does not count: the file may have been
    replaced since.
    """
    found = result.found
    if subject.rating_owner != "person" or subject.may_replace is not None:
        return None
    if found is None or not found.is_cleared:
        return None
    return replace(result, status="person", found=replace(found, owner="person"))


def _may_replace_first_star(subject: RatingSubject) -> bool:
    return subject.may_replace == OVER_FIRST_STARS
