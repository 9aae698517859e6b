"""A person's decisions: stored at once, then written into the right rating files; what waits is tried again.

The review page and `maclip cull` call this. A decision is in the library before a file is touched, so that
neither a kill nor a full disk loses it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.files.paths import with_path
from maclip_daemon.library.photos import raw_jpeg_pairs
from maclip_daemon.library.results import decided_files, decisions
from maclip_daemon.library.results.decided_files import DecidedFile
from maclip_daemon.library.results.decided_photos import DecidedPhoto, decided_photo
from maclip_daemon.library.results.decisions import DecisionState, NewDecision, StoredDecision
from maclip_daemon.library.storage.database import Session
from maclip_daemon.metadata.records import DecisionRequest, Prepared
from maclip_daemon.pipeline import file_stability, recovery
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites, PhotoWrite
from maclip_daemon.pipeline.commands.online_roots import OnlineRoots
from maclip_daemon.pipeline.rating import sidecar_naming
from maclip_daemon.pipeline.rating.darktable_check import CheckedPhoto, DarktableCheck
from maclip_daemon.settings import Settings

ATTEMPTS = 3  # when another program writes the same file at that moment
CHANGED = "another program rated this photo meanwhile"

DECIDED_AGAIN = "A later decision about this photo came first, or it was undone."

Outcome = Literal["written", "waiting", "changed", "refused", "replaced"]


@dataclass(frozen=True)
class DecisionResult:
    """What became of one decision."""

    photo_id: int
    outcome: Outcome
    """`changed`: another program gave `rating` meanwhile, and the decision was not written.
    `replaced`: a later decision, or undo, came before it was written.
    """
    rating: int | None = None
    """The rating in the photo's file now; None where it is not known."""
    reason: str = ""
    """Why it was not written yet, or not at all."""


class Decider:
    """Stores and writes decisions. Thread-safe: one decision is written at a time."""

    def __init__(self, writes: JournalledWrites, settings: Settings) -> None:
        self._writes = writes
        self._settings = settings
        configured = settings.rating.darktable_libraries
        self._darktable = DarktableCheck(writes.library, writes.writer, configured)
        self.lock = threading.Lock()
        """Held while files are written; undo holds it too."""

    def decide(self, decided: Sequence[NewDecision], review: str) -> list[DecisionResult]:
        """Store and write the decisions of one key press; both files of a RAW+JPEG shot get them.

        Return what became of each decided photo, and of other files of their shots that were not written.
        Nothing is stored where it raises `DatabaseBusy`, or `FileChanged` for a photo that the library does
        not know.
        """
        library = self._writes.library
        with library.writing() as session:
            if any(decided_photo(session, each.photo_id) is None for each in decided):
                raise errors.FileChanged("The library does not know this photo.")
            partners = raw_jpeg_pairs.partners(session, [each.photo_id for each in decided])
            shots = [*decided, *_of_partners(decided, partners)]
            stored = decisions.add(session, shots, review, self._writes.clock())
        with self.lock:
            results = [self._carry_out(each) for each in stored]
        of_partners = [
            each for each in results[len(decided) :] if each.outcome not in ("written", "replaced")
        ]
        return [*results[: len(decided)], *of_partners]

    def retry(self) -> list[DecisionResult]:
        """Write the decisions that wait; return those that are no longer waiting."""
        now = self._writes.clock()
        with self.lock:
            with self._writes.library.reading() as session:  # one that is being written is no longer waiting
                waiting = decisions.waiting(session)
            if not waiting:
                return []
            photo_ids = {each.photo_id for each in waiting}
            recovery.settle_unconfirmed(self._writes.library, self._writes.probe, now, photo_ids)
            results = [self._carry_out(each) for each in waiting]
        return [each for each in results if each.outcome != "waiting"]

    def _carry_out(self, decision: StoredDecision) -> DecisionResult:
        for attempt in range(1, ATTEMPTS + 1):
            with self._writes.library.reading() as session:
                present = decisions.present(session, decision.id)
                photo = None if present is None else decided_photo(session, present.photo_id)
            if present is None or photo is None:
                return self._settled(decision, "refused", "The photo is no longer in the library.")
            decision = present
            if decision.state != "waiting":
                return DecisionResult(photo.photo_id, "replaced", reason=DECIDED_AGAIN)
            try:
                return self._write_files(decision, photo)
            except errors.FileChanged as error:
                if attempt == ATTEMPTS:
                    return self._waits(decision, photo, error)
            except errors.Poison as error:
                return self._settled(decision, "refused", str(error))
            except errors.MaclipError as error:
                return self._waits(decision, photo, error)
        raise AssertionError("the last attempt returns")

    def _write_files(self, decision: StoredDecision, photo: DecidedPhoto) -> DecisionResult:
        """Write all rating files of a photo. Raises why it has to wait, or cannot be done."""
        self._writes.probe.ping(photo.path)
        library, probe = self._writes.library, self._writes.probe
        if not file_stability.is_unchanged(library, probe, photo.path, photo.photo_id):
            raise errors.FileChanged(file_stability.BEING_WRITTEN)
        request = self._request(decision, photo)
        while True:
            prepared = self._prepare(request, photo)
            if prepared.status == "person" and self._is_half_written(decision, prepared):
                request = replace(request, seen=prepared.found.rating if prepared.found else None)
                prepared = self._prepare(request, photo)
            if prepared.status == "person":
                return self._left_to_others(decision, prepared)
            if prepared.status == "skipped":
                return self._settled(decision, "refused", prepared.reason)
            if prepared.status == "unchanged":
                return self._record_unchanged(decision)
            self._commit(decision, photo, prepared)
            if not prepared.has_more:
                return DecisionResult(photo.photo_id, "written", decision.rating)

    def _request(self, decision: StoredDecision, photo: DecidedPhoto) -> DecisionRequest:
        marks = self._settings.review.pick
        return DecisionRequest(
            photo=Path(photo.path),
            rating=decision.rating,
            seen=decision.seen,
            pick=None if marks == "library" else decision.pick,
            pick_marks=marks,
            mode="embed" if self._settings.rating.mode == "embed" else "sidecar",
            last_written=photo.stars_written,
            sidecar_name=sidecar_naming.asked_name(self._settings.rating.sidecar_name),
        )

    def _prepare(self, request: DecisionRequest, photo: DecidedPhoto) -> Prepared:
        """Prepare a file, and ask darktable's libraries: what only they hold is a person's, too."""
        writer = self._writes.writer
        prepared = writer.prepare_decision(request)
        checked = CheckedPhoto(photo.photo_id, photo.stars_written, may_replace_first_star=True)
        (verdict,) = self._darktable.apply([prepared], [checked])
        if isinstance(verdict, errors.MaclipError):
            raise verdict
        if verdict.status != "person" or prepared.status == "person":
            return verdict
        theirs = verdict.found.rating if verdict.found else None
        if request.rating is None or (theirs or 0) in (request.rating, request.seen or 0):
            return writer.prepare_decision(request)  # the person has seen it
        return verdict

    def _is_half_written(self, decision: StoredDecision, prepared: Prepared) -> bool:
        """Return whether the rating that was found is of the decision that this one replaced."""
        with self._writes.library.reading() as session:
            files = decided_files.files_of(session, decision.id)
        return prepared.found is not None and prepared.found.source_hash in {
            each.after_hash for each in files
        }

    def _commit(self, decision: StoredDecision, photo: DecidedPhoto, prepared: Prepared) -> None:
        stars = photo.stars_written if decision.rating is None and prepared.owner == "maclip" else None
        file = DecidedFile(
            str(prepared.target), prepared.before_hash, prepared.undo_entry.after_hash, prepared.restore
        )

        def intend(session: Session) -> None:
            present = decisions.present(session, decision.id)
            if present is None or (present.state, present.photo_id) != ("waiting", photo.photo_id):
                raise errors.FileChanged(DECIDED_AGAIN)
            decided_files.record_file(session, decision.id, file)

        def is_done(session: Session) -> None:
            if not prepared.has_more:
                decisions.record_written(session, decision)
                decisions.settle(session, decision.id, "written", None, self._writes.clock())

        write = PhotoWrite(photo.photo_id, photo.path, prepared, stars)
        self._writes.commit(
            write, intend, is_done, lambda session: decided_files.forget_file(session, decision.id, file)
        )

    def _record_unchanged(self, decision: StoredDecision) -> DecisionResult:
        with self._writes.library.writing() as session:
            decisions.record_written(session, decision)
            decisions.settle(session, decision.id, "written", None, self._writes.clock())
        return DecisionResult(decision.photo_id, "written", decision.rating)

    def _left_to_others(self, decision: StoredDecision, prepared: Prepared) -> DecisionResult:
        """Record the rating that another program gave; the page shows it."""
        rating = (prepared.found.rating if prepared.found else None) or 0
        with self._writes.library.writing() as session:
            decisions.settle(session, decision.id, "refused", CHANGED, self._writes.clock())
            decisions.record_rating(session, decision.photo_id, rating)
        return DecisionResult(decision.photo_id, "changed", rating, prepared.reason)

    def _settled(self, decision: StoredDecision, state: DecisionState, reason: str) -> DecisionResult:
        with self._writes.library.writing() as session:
            decisions.settle(session, decision.id, state, reason, self._writes.clock())
        return DecisionResult(decision.photo_id, "refused", reason=reason)

    def _waits(
        self, decision: StoredDecision, photo: DecidedPhoto, error: errors.MaclipError
    ) -> DecisionResult:
        roots = OnlineRoots(self._writes.library, self._writes.probe)
        cause = roots.reason_offline_at(photo.path) or error
        reason = with_path(photo.path, str(cause))
        with self._writes.library.writing() as session:
            decisions.settle(session, decision.id, "waiting", reason, self._writes.clock())
        return DecisionResult(decision.photo_id, "waiting", reason=reason)


def _of_partners(
    decided: Sequence[NewDecision], partners: dict[int, list[raw_jpeg_pairs.PairedPhoto]]
) -> list[NewDecision]:
    """Return the decisions for the other files of the shots."""
    named = {each.photo_id for each in decided}
    return [
        replace(
            each,
            photo_id=other.photo_id,
            seen=other.rating_in_file if other.rating_owner == "person" else None,
        )
        for each in decided
        for other in partners.get(each.photo_id, ())
        if other.photo_id not in named
    ]
