"""Undo of a key press in the review page: the files' bytes of before, and what the library knew of before."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.files.paths import with_path
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import decided_files, decisions, rating_journal
from maclip_daemon.library.results.decided_files import DecidedFile
from maclip_daemon.library.results.decided_photos import DecidedPhoto, decided_photo
from maclip_daemon.library.results.decisions import StoredDecision
from maclip_daemon.library.storage.database import Session
from maclip_daemon.metadata.records import UndoEntry
from maclip_daemon.pipeline import recovery
from maclip_daemon.pipeline.commands.decide import Decider
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites, PhotoWrite
from maclip_daemon.pipeline.commands.online_roots import OnlineRoots


@dataclass(frozen=True)
class UndoneDecision:
    """What became of one decision that was to be undone."""

    photo_id: int
    is_done: bool
    reason: str = ""
    """Why the decision stays."""


class DecisionUndo:
    """Undoes decisions, one key press at a time. Shares the lock of `Decider`."""

    def __init__(self, writes: JournalledWrites, decider: Decider) -> None:
        self._writes = writes
        self._decider = decider

    def undo_last(self, review: str) -> list[UndoneDecision]:
        """Undo the last key press of a review; empty when nothing is left to undo."""
        with self._decider.lock:
            with self._writes.library.reading() as session:
                press = decisions.last_press(session, review)
            return [self._undo(each) for each in press]

    def undo_review(self, review: str) -> Iterator[UndoneDecision]:
        """Undo all key presses of a review, the last one first; yield what became of each decision."""
        before: int | None = None
        while True:
            with self._decider.lock:
                with self._writes.library.reading() as session:
                    press = decisions.last_press(session, review, before)
                if not press:
                    return
                before = press[0].press
                results = [self._undo(each) for each in press]
            yield from results

    def _undo(self, decision: StoredDecision) -> UndoneDecision:
        with self._writes.library.reading() as session:
            photo = decided_photo(session, decision.photo_id)
            files = decided_files.files_of(session, decision.id)
        if photo is None:
            return UndoneDecision(decision.photo_id, False, "The photo is no longer in the library.")
        removed: list[str] = []
        try:
            self._writes.probe.ping(photo.path)
            if decision.state == "written" or files:  # one that waits may have written the first of its files
                self._require_there(photo)
                for file in files:
                    self._return_to(decision, photo, file, removed)
        except errors.MaclipError as error:
            if removed:
                with self._writes.library.writing() as session:
                    self._mark_removed(session, removed)
            return UndoneDecision(decision.photo_id, False, with_path(photo.path, str(error)))
        with self._writes.library.writing() as session:
            self._mark_removed(session, removed)  # not before: it alone would hold the photo
            if decisions.restore_photo(session, decision):
                jobs.enqueue(session, [decision.photo_id], "rate", self._writes.clock())
            decisions.settle(session, decision.id, "undone", None, self._writes.clock())
        return UndoneDecision(decision.photo_id, True)

    def _require_there(self, photo: DecidedPhoto) -> None:
        """Raise why the photo's files cannot be put back: it was moved away, or its drive is absent."""
        if self._writes.probe.call(photo.path, lambda: os.path.lexists(photo.path)):
            return
        roots = OnlineRoots(self._writes.library, self._writes.probe)
        raise roots.reason_offline_at(photo.path) or errors.FileChanged(
            "The photo is no longer in its folder. If it was moved away, bring it back first."
        )

    def _return_to(
        self, decision: StoredDecision, photo: DecidedPhoto, file: DecidedFile, removed: list[str]
    ) -> None:
        """Put one file back, or remove it and add it to `removed`. Raises why it stays."""
        place = self._place_of(file)
        entry = UndoEntry(place, file.before_hash, file.after_hash, file.restore)
        if file.before_hash is None:
            outcome = self._writes.writer.undo(replace(entry, is_exact=True))
            if outcome.status == "changed":  # another program wrote to it since
                raise errors.WriteRefused(outcome.reason)
            removed.append(file.target_path)
            return
        if str(place) != file.target_path:
            name = os.path.basename(file.target_path)  # noqa: PTH119 - surrogates
            raise errors.WriteRefused(
                f"{place} stayed behind when its photo was renamed. Rename it to {name}, then undo again."
            )
        prepared = self._writes.writer.prepare_return(entry)
        if prepared.status == "unchanged":
            return
        if prepared.status != "prepared":
            raise errors.WriteRefused(prepared.reason)
        stars = decision.before.get("stars_written")
        write = PhotoWrite(photo.photo_id, photo.path, prepared, stars)
        self._writes.commit(write, _nothing, _nothing)

    def _place_of(self, file: DecidedFile) -> Path:
        """Return where a file is: it may have stayed behind when its photo was renamed."""
        with self._writes.library.reading() as session:
            chain = rating_journal.undo_chain(session, file.target_path)
        if not chain:
            return Path(file.target_path)
        return self._writes.probe.call(file.target_path, lambda: recovery.current_target(chain[0]))

    def _mark_removed(self, session: Session, removed: Sequence[str]) -> None:
        """Record the removal of sidecars that a decision had made."""
        for path in removed:
            chain: Sequence[rating_journal.JournalRow] = rating_journal.undo_chain(session, path)
            rating_journal.mark_undone(session, [each.id for each in chain], self._writes.clock())


def _nothing(_session: Session) -> None:
    pass
