"""Rate jobs as the library keeps them: leased, then ended by a rating or a reason, or released.

Every change of a file is in the journal before the file is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.folders.scanner import FoundFile
from maclip_daemon.library.photos import photo_records, raw_jpeg_pairs
from maclip_daemon.library.photos.raw_jpeg_pairs import PairedPhoto
from maclip_daemon.library.queue import jobs, leases, rating_holds
from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.library.results import journal_adoption
from maclip_daemon.library.results.rating_subjects import RatingSubject, rating_subjects
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.library_identity import library_ids
from maclip_daemon.library.storage.photo_paths import FileLocation
from maclip_daemon.metadata.records import FoundRating, Prepared
from maclip_daemon.pipeline import file_stability, intended_write, journal_compaction, recovery
from maclip_daemon.pipeline.rating import adoption, moved_photos
from maclip_daemon.pipeline.rating.adoption import Adoptable, RatedFile
from maclip_daemon.pipeline.run_state import ROOT_CHECK_S, FailedPhoto, Roots, RunState, WrittenStars, log
from maclip_daemon.pipeline.waits import Resource, retry_policy
from maclip_daemon.settings import JobSettings

PreparedJobs = list[tuple[LeasedJob, Prepared]]


class RateJobs:
    """The rate jobs of one run. Owned by the rating thread."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        settings: JobSettings,
        worker: str,
        roots: Roots,
    ) -> None:
        self._library = library
        self._state = state
        self._settings = settings
        self._worker = worker
        self._roots = roots
        self._began = 0.0  # when jobs were taken last: before any of their files was read
        self._adoptable: dict[int, Adoptable] = {}
        """Of the photos that were examined last, by id."""
        self._reported: set[str] = set()
        """Ids of other libraries that the log names already."""

    @property
    def library(self) -> Library:
        """Return the library of these jobs."""
        return self._library

    def take(self, limit: int) -> list[LeasedJob]:
        """Lease up to `limit` jobs that are due and whose disks are neither full nor offline."""
        now = self._state.clock()
        with self._library.reading() as session:
            due = jobs.next_due(session, "rate")
        if due is None or due > now:
            return []  # an idle daemon writes nothing
        self._began = now
        with self._library.writing() as session:
            return leases.lease(
                session,
                "rate",
                self._worker,
                now,
                self._settings.lease_s,
                limit,
                paused_devices=self._state.waits.devices("full disk", "offline disk"),
            )

    def library_id(self) -> str:
        """Return the id of this library, for the files that it rates."""
        with self._library.reading() as session:
            return library_ids(session).own

    def subjects(self, held: Sequence[LeasedJob]) -> dict[int, RatingSubject]:
        """Return what to rate, by photo id; nothing before the first calibration."""
        with self._library.reading() as session:
            subjects = rating_subjects(session, [job.photo_id for job in held])
        return {subject.photo_id: subject for subject in subjects if subject.stars is not None}

    def partners(self, photo_ids: Sequence[int]) -> dict[int, list[PairedPhoto]]:
        """Return the other files of the shots of these photos, by photo id."""
        with self._library.reading() as session:
            return raw_jpeg_pairs.partners(session, photo_ids)

    def is_unchanged(self, job: LeasedJob) -> bool:
        """Return whether a photo still is the file that discovery found."""
        return file_stability.is_unchanged(self._library, self._state.probe, job.path, job.photo_id)

    def settle_unconfirmed(self, held: Sequence[LeasedJob]) -> None:
        """Confirm or abandon what earlier attempts at these photos left unconfirmed in the journal."""
        photo_ids = {job.photo_id for job in held}
        recovery.settle_unconfirmed(self._library, self._state.probe, self._state.clock(), photo_ids)

    def follow_moved(self, held: Sequence[LeasedJob]) -> None:
        """Let these photos have the journal and the stars that they had at another path."""
        moved_photos.follow(self._library, self._state.probe, [job.photo_id for job in held])

    def remove_strays(self, folders: set[Path]) -> set[Path]:
        """Remove what was prepared in these folders and not committed; return those that are offline."""
        offline = {folder for folder in folders if self._roots.is_offline(str(folder))}
        now = self._state.clock()
        recovery.remove_strays(self._state.probe, folders - offline, now, now)
        return offline

    def examine(
        self, held: Sequence[LeasedJob], results: Sequence[Prepared | errors.MaclipError]
    ) -> set[int]:
        """Look for ratings of maclip's that the journal has not; return the photos of another library.

        The others are taken into the journal with their results.
        """
        files = [
            RatedFile(job.photo_id, result.photo, result.found)
            for job, result in zip(held, results, strict=True)
            if isinstance(result, Prepared) and result.found is not None
        ]
        self._adoptable = adoption.examine(self._library, self._state.probe, files)
        return {photo_id for photo_id, each in self._adoptable.items() if each.is_contested}

    def finish_contested(self, job: LeasedJob) -> None:
        """Finish the job of a photo that another library rates too; its stars are left alone."""
        write = self._adoptable[job.photo_id].write
        assert write.library_id is not None
        with self._library.writing() as session:
            if not jobs.finish(session, [job], self._worker):
                return
            journal_adoption.record_other_library(session, job.photo_id, write.stars, write.library_id)
        self._state.count(contested=1)
        if write.library_id not in self._reported:  # once a run; `status` has the number
            self._reported.add(write.library_id)
            log.info("another maclip library rates these photos too", photo=job.path, by=write.library_id)

    def _adopt(self, session: Session, photo_id: int, now: float) -> None:
        """Take the rating that was found in a photo's file into the journal, if it lacks it."""
        found = self._adoptable.pop(photo_id, None)
        if found is not None and adoption.take(session, found, now):
            self._state.count(adopted=1)

    def intend_all(self, prepared: PreparedJobs) -> list[int | None]:
        """Write into the journal what will be done to each file; return the entries' ids.

        None for a photo that `maclip undo` holds since it was prepared: its job ends, and nothing is written.
        """
        now = self._state.clock()
        with self._library.writing() as session:
            held = rating_holds.held(session, [job.photo_id for job, _ in prepared])
            jobs.finish(session, [job for job, _ in prepared if job.photo_id in held], self._worker)
            return [
                None if job.photo_id in held else self._intend(session, job, result, now)
                for job, result in prepared
            ]

    def _intend(self, session: Session, job: LeasedJob, result: Prepared, now: float) -> int:
        self._adopt(session, job.photo_id, now)
        return intended_write.intend(session, job.photo_id, result, intended_write.maclips_stars(result), now)

    def settle_all(
        self, prepared: PreparedJobs, entries: Sequence[int], outcomes: Sequence[errors.MaclipError | None]
    ) -> None:
        """Finish the jobs that were done; after an error, check whether the file was replaced."""
        probe = self._state.probe
        written: dict[int, bool | None] = {}
        embedded: dict[int, FoundFile] = {}
        now = self._state.clock()
        # Files are read before the transaction: a server may take its time.
        for (job, result), entry, error in zip(prepared, entries, outcomes, strict=True):
            if error is not None:
                # After a lost process, or a folder that could not be flushed, the file may be in its place.
                undo_entry = result.undo_entry
                written[entry] = recovery.finish_interrupted(
                    probe,
                    undo_entry.target,
                    undo_entry.before_hash,
                    undo_entry.after_hash,
                    now,
                    FileLocation(job.path, job.device),
                )
            elif result.target == result.photo and (found := file_stability.find_file(probe, job.path)):
                embedded[entry] = found
        with self._library.writing() as session:
            for (job, result), entry, error in zip(prepared, entries, outcomes, strict=True):
                if error is not None:
                    recovery.settle(session, entry, written[entry], now)
                    continue
                journal_compaction.confirm(session, entry, now)
                if result.owner == "person":
                    self._record_person(session, job, result.rating)
                if entry in embedded:  # discovery must not take our own write for a change
                    photo_records.record_rewrite(session, job.photo_id, embedded[entry])
                jobs.finish(session, [job], self._worker)
                if result.has_more:
                    jobs.enqueue(session, [job.photo_id], "rate", now)
                if result.owner == "person":
                    self._state.count(kept=1)
                else:
                    self._state.count(rated=1)
                    self._state.note_rated(WrittenStars(job.path, result.rating))

    def finish_unwritten(self, job: LeasedJob, result: Prepared) -> None:
        """Finish a job that writes nothing; record whose rating the file holds, and why it was skipped."""
        with self._library.writing() as session:
            if not jobs.finish(session, [job], self._worker):
                return
            self._adopt(session, job.photo_id, self._state.clock())
            if result.status == "unchanged":
                journal_adoption.record_owner(session, job.photo_id, result.rating)
            else:
                found = result.found
                rating, owner = (found.rating, found.owner) if found is not None else (None, "none")
                problem = result.reason if result.status == "skipped" else None
                if result.status == "person":
                    self._record_person(session, job, rating)
                else:
                    photo_records.set_rating(session, job.photo_id, rating, owner, problem)
        if result.status == "person":
            self._state.count(kept=1)
        elif result.status == "skipped":
            self._state.count(skipped=1)
            log.info("rating not written", photo=job.path, reason=result.reason)

    def finish_held(self, job: LeasedJob, subject: RatingSubject, found: FoundRating | None) -> None:
        """Finish the job of a photo that `maclip undo` holds; record what a person did (None: unreadable)."""
        with self._library.writing() as session:
            if not jobs.finish(session, [job], self._worker) or found is None:
                return
            is_persons = found.owner == "person" or (subject.rating_owner == "person" and found.is_cleared)
            if is_persons:
                self._record_person(session, job, found.rating)
        if is_persons:
            self._state.count(kept=1)

    def _record_person(self, session: Session, job: LeasedJob, rating: int | None) -> None:
        """Record a person's rating; the other files of the shot follow it."""
        is_new = photo_records.set_rating(session, job.photo_id, rating, "person")
        photo_records.mark_checked(session, [job.photo_id], self._began)
        partners = raw_jpeg_pairs.partners(session, [job.photo_id]).get(job.photo_id, [])
        others = [each.photo_id for each in partners if is_new or each.rating_owner != "person"]
        jobs.enqueue(session, others, "rate", self._state.clock())

    def finish(self, held: Sequence[LeasedJob]) -> None:
        """End jobs that have nothing to do."""
        if held:
            with self._library.writing() as session:
                jobs.finish(session, held, self._worker)

    def fail(self, job: LeasedJob, error: errors.MaclipError) -> bool:
        """Record a failure; return whether the photo's root is offline, which does not count as an attempt.

        Files that other programs are writing are retried without end.
        """
        if errors.may_be_the_disks_fault(error):
            if self._roots.is_offline(job.path):
                self._wait_for_root(job.path, job.device)
                self.release([job])
                self._state.wait_for_work(ROOT_CHECK_S)
                return True
            self._roots.check_photo_soon(job.path)
        with self._library.writing() as session:
            outcome = jobs.fail(
                session,
                job,
                self._worker,
                str(error),
                self._state.clock(),
                poison=isinstance(error, errors.Poison),
                policy=retry_policy(self._settings, error),
                failure=error.failure,
            )
        if outcome == "dead":
            self._state.tally.failed.append(FailedPhoto(Path(job.path), str(error)))
        write = log.warning if outcome == "dead" else log.info
        write("rating failed", photo=job.path, reason=str(error), outcome=outcome)
        return False

    def release_offline(self, held: Sequence[LeasedJob]) -> list[LeasedJob]:
        """Release the jobs whose roots are offline, no attempt counted; return the others."""
        offline: set[int] = set()
        for device, path in {job.device: job.path for job in held}.items():
            if self._roots.is_offline(path):
                offline.add(device)
                self._wait_for_root(path, device)
            else:
                self._roots.check_photo_soon(path)
        self.release([job for job in held if job.device in offline])
        return [job for job in held if job.device not in offline]

    def _wait_for_root(self, path: str, device: int) -> None:
        self._roots.check_root_soon(path)
        self._state.waits.begin(Resource("offline disk", device), f"The disk of {path} cannot be read.")

    def release(self, held: Sequence[LeasedJob]) -> None:
        """Return jobs to the queue, no attempt counted."""
        if held:
            with self._library.writing() as session:
                jobs.release(session, held, self._worker, self._state.clock())
