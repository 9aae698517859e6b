"""Rate jobs as the library keeps them: taken under a lease, ended by a rating, a reason, or given back.

Every change of a file is in the journal before the file is touched.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.folders.scanner import FoundFile
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.queue.jobs import LeasedJob, RetryPolicy
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.records import Prepared
from maclip_daemon.pipeline import file_stability
from maclip_daemon.pipeline.recovery import settle, was_written
from maclip_daemon.pipeline.run_state import LOOK_AT_ROOT_S, FailedPhoto, RunState, log
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
        is_offline: Callable[[str], bool],
    ) -> None:
        """`is_away`: whether a photo's root is away."""
        self._library = library
        self._state = state
        self._lease_s = settings.lease_s
        self._policy = RetryPolicy(settings.max_attempts, settings.retry_base_s)
        self._changing_file_policy = RetryPolicy(sys.maxsize, settings.retry_base_s)
        self._worker = worker
        self._is_away = is_offline

    def take(self, most: int) -> list[LeasedJob]:
        """Give up to `most` jobs that are due and whose disks are not full."""
        now = self._state.clock()
        with self._library.reading() as session:
            due = jobs.next_due(session, "rate")
        if due is None or due > now:
            return []  # an idle daemon writes nothing
        with self._library.writing() as session:
            return jobs.lease(
                session,
                "rate",
                self._worker,
                now,
                self._lease_s,
                most,
                resting_devices=[*self._state.pauses.disks(), *self._state.away.devices()],
            )

    def intend_all(self, prepared: PreparedJobs) -> list[int]:
        """Write into the journal what will be done to each file; the entries' numbers."""
        with self._library.writing() as session:
            return [self._intend(session, job, result) for job, result in prepared]

    def settle_all(
        self, prepared: PreparedJobs, entries: Sequence[int], outcomes: Sequence[errors.MaclipError | None]
    ) -> None:
        """End the jobs that were done; after an error the file itself says whether it was replaced."""
        probe = self._state.probe
        written: dict[int, bool | None] = {}
        embedded: dict[int, FoundFile] = {}
        # Files are looked at before the transaction: a server may take its time.
        for (job, result), entry, error in zip(prepared, entries, outcomes, strict=True):
            if error is not None:
                # After a lost process, or a folder that could not be flushed, the file may be in its place.
                undo_entry = result.undo_entry
                written[entry] = was_written(probe, undo_entry.target, undo_entry.after_hash)
            elif result.target == result.photo and (found := file_stability.look(probe, job.path)):
                embedded[entry] = found
        now = self._state.clock()
        with self._library.writing() as session:
            for (job, _), entry, error in zip(prepared, entries, outcomes, strict=True):
                if error is not None:
                    settle(session, entry, written[entry], now)
                    continue
                rating_journal.confirm(session, entry, now)
                if entry in embedded:  # so that our own write is not taken for a change
                    photo_records.rewritten(session, job.photo_id, embedded[entry])
                jobs.finish(session, job, self._worker)
                self._state.count(rated=1)

    def leave(self, job: LeasedJob, result: Prepared) -> None:
        """Nothing is to be written: the file says it already, a person rated it, or it may not be written."""
        with self._library.writing() as session:
            if not jobs.finish(session, job, self._worker):
                return
            if result.status == "unchanged":
                photo_records.set_rating(session, job.photo_id, result.rating, "maclip")
            else:
                found = result.found
                rating, owner = (found.rating, found.owner) if found is not None else (None, "none")
                problem = result.reason if result.status == "skipped" else None
                photo_records.set_rating(session, job.photo_id, rating, owner, problem)
        if result.status == "person":
            self._state.count(kept=1)
        elif result.status == "skipped":
            self._state.count(skipped=1)
            log.info("rating not written", photo=job.path, reason=result.reason)

    def finish(self, done: list[LeasedJob]) -> None:
        """End jobs on which nothing is to be done."""
        if done:
            with self._library.writing() as session:
                for job in done:
                    jobs.finish(session, job, self._worker)

    def fail(self, job: LeasedJob, error: errors.MaclipError) -> None:
        """Record a failed attempt; that of a root that is away is none.

        Files that others write meanwhile are waited for as long as it takes.
        """
        if errors.may_be_the_disks_fault(error) and self._is_away(job.path):
            self._state.away.add(job.device)
            self.release([job])
            self._state.wait_for_work(LOOK_AT_ROOT_S)
            return
        with self._library.writing() as session:
            outcome = jobs.fail(
                session,
                job,
                self._worker,
                str(error),
                self._state.clock(),
                poison=isinstance(error, errors.Poison),
                policy=self._changing_file_policy if isinstance(error, errors.FileChanged) else self._policy,
            )
        if outcome == "dead":
            self._state.tally.failed.append(FailedPhoto(Path(job.path), str(error)))
        log.log(
            30 if outcome == "dead" else 20,
            "rating failed",
            photo=job.path,
            reason=str(error),
            outcome=outcome,
        )

    def release_offline(self, held: list[LeasedJob]) -> list[LeasedJob]:
        """Return the jobs whose roots are away, no attempt counted; the other ones are given."""
        one_of_each = {job.device: job.path for job in held}
        away = {device for device, path in one_of_each.items() if self._is_away(path)}
        for device in away:
            self._state.away.add(device)
        self.release([job for job in held if job.device in away])
        return [job for job in held if job.device not in away]

    def release(self, held: list[LeasedJob]) -> None:
        """Return work untouched, no attempt counted."""
        if not held:
            return
        with self._library.writing() as session:
            jobs.release(session, held, self._worker, self._state.clock())

    def _intend(self, session: Session, job: LeasedJob, result: Prepared) -> int:
        entry = result.undo_entry
        return rating_journal.intend(
            session,
            job.photo_id,
            str(entry.target),
            "embed" if entry.target == result.photo else "sidecar",
            before_hash=entry.before_hash,
            after_hash=entry.after_hash,
            restore=entry.restore,
            stars_before=result.found.rating if result.found else None,
            stars_written=result.rating,
            now=self._state.clock(),
        )
