"""One run of the review page: the library, the person's decisions, and what changed since a page looked."""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries import review_photos
from maclip_daemon.library.queries.review_photos import ReviewPhoto
from maclip_daemon.library.results import decisions
from maclip_daemon.library.results.decisions import NewDecision
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.commands.culling.rejected_moves import RejectedMoves
from maclip_daemon.pipeline.commands.decide import Decider, DecisionResult
from maclip_daemon.pipeline.commands.undo_decisions import DecisionUndo, UndoneDecision
from maclip_daemon.web.background_move import BackgroundMove
from maclip_daemon.web.photo_sets import PhotoSets
from maclip_daemon.web.preview_queue import PreviewQueue

FINISH_AGAIN_S = 30.0  # between attempts at moves that were cut off
RETRY_S = 3.0  # between attempts at what a full disk or an absent drive keeps waiting
CHANGES_KEPT = 5000  # photos; a page that looks less often loads its photos again
PACE_S = 300.0  # over which photos a minute are counted


@dataclass
class Changes:
    """Photos that changed, numbered, so that each open page learns of the others' decisions."""

    serial: int = 0
    kept: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=CHANGES_KEPT))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, photo_ids: Iterable[int]) -> None:
        """Number the changes of these photos."""
        with self.lock:
            for photo_id in photo_ids:
                self.serial += 1
                self.kept.append((self.serial, photo_id))

    def since(self, serial: int) -> tuple[int, list[int]]:
        """Return the present number, and the photos that changed after `serial`."""
        with self.lock:
            return self.serial, sorted({photo_id for number, photo_id in self.kept if number > serial})


class Review:
    """What the page's handlers share. Thread-safe."""

    def __init__(
        self,
        library: Library,
        decider: Decider,
        undo: DecisionUndo,
        moves: RejectedMoves,
        previews: PreviewQueue,
    ) -> None:
        self.library = library
        self.moves = moves
        self.running_move = BackgroundMove(self._refresh)
        self.previews = previews
        self.sets = PhotoSets(library)
        self.changes = Changes()
        self.id = f"{datetime.now():%Y-%m-%d %H:%M:%S} {secrets.token_hex(2)}"
        self._decider = decider
        self._undo = undo
        self._stopping = threading.Event()
        self._presses: deque[float] = deque(maxlen=10_000)
        self._retrying = threading.Thread(target=self._retry, name="waiting decisions", daemon=True)
        self.waiting: dict[int, str] = {}
        """Why decisions are not written yet, by photo."""

    def start(self) -> None:
        """Begin to write what earlier runs left waiting."""
        self._retrying.start()

    def stop(self) -> None:
        """End the thread and the preview processes."""
        self._stopping.set()
        self.running_move.stop()
        self.previews.close()
        self._retrying.join()

    def photos(self, photo_ids: Sequence[int]) -> list[ReviewPhoto]:
        """Return the rows of these photos."""
        with self.library.snapshot() as snapshot:
            return review_photos.rows(snapshot, photo_ids)

    def decide(self, decided: Sequence[NewDecision]) -> list[DecisionResult]:
        """Store and write decisions of one key press. Raises `MaclipError` when none could be stored."""
        results = self._decider.decide(decided, self.id)
        now = time.monotonic()
        for each in results:
            if each.outcome in ("written", "waiting"):
                self._presses.append(now)
        self._note(results)
        return results

    def undo_last(self) -> list[UndoneDecision]:
        """Undo the last key press of this run."""
        return self._noted(self._undo.undo_last(self.id))

    def undo_all(self) -> list[UndoneDecision]:
        """Undo all key presses of this run."""
        return self._noted(list(self._undo.undo_review(self.id)))

    def pace(self) -> float:
        """Return how many photos a minute were decided lately."""
        now = time.monotonic()
        lately = [moment for moment in self._presses if now - moment < PACE_S]
        if len(lately) < 2:
            return 0.0
        return (len(lately) - 1) * 60 / max(now - lately[0], 1.0)

    def _note(self, results: Sequence[DecisionResult]) -> None:
        for each in results:
            if each.outcome == "waiting":
                self.waiting[each.photo_id] = printable_utf8(each.reason)
            elif each.outcome != "replaced":
                self.waiting.pop(each.photo_id, None)
        self._refresh([each.photo_id for each in results])

    def _noted(self, undone: list[UndoneDecision]) -> list[UndoneDecision]:
        for each in undone:
            if each.is_done:
                self.waiting.pop(each.photo_id, None)
        self._refresh([each.photo_id for each in undone])
        return undone

    def _refresh(self, photo_ids: Sequence[int]) -> None:
        for photo in self.photos(photo_ids):
            self.sets.record(photo.id, is_rated=photo.owner == "person" or photo.waiting is not None)
        self.changes.add(photo_ids)

    def _forget_settled(self) -> None:
        """Forget what waits no longer: another process has settled it, or its photo is another one now."""
        known = list(self.waiting)
        with self.library.reading() as session:
            waiting = {each.photo_id for each in decisions.waiting(session)} if known else set()
        settled = [photo_id for photo_id in known if photo_id not in waiting]
        for photo_id in settled:
            self.waiting.pop(photo_id, None)
        if settled:
            self._refresh(settled)

    def _retry(self) -> None:
        has_finished, finish_at = False, 0.0
        while not self._stopping.is_set():
            try:
                if not has_finished and time.monotonic() >= finish_at:
                    finish_at = time.monotonic() + FINISH_AGAIN_S
                    has_finished = self.moves.finish_killed()
                self._note(self._decider.retry())
                self._forget_settled()
            except errors.MaclipError as error:
                for photo_id in list(self.waiting):  # a request may add one meanwhile
                    self.waiting[photo_id] = printable_utf8(str(error))
            self._stopping.wait(RETRY_S)
