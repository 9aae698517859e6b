"""The bursts' part of a run: groups that changed are found again, photos of old libraries are compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maclip_daemon import errors
from maclip_daemon.library.photos import burst_frames
from maclip_daemon.library.queue import jobs, rating_queue
from maclip_daemon.library.storage.database import BRIEF_TIMEOUT_S, Library, Session
from maclip_daemon.library.storage.notes import get_note, put_note
from maclip_daemon.library.storage.sql_views import LIFTING
from maclip_daemon.pipeline.bursts import rebuilding, regrouping
from maclip_daemon.pipeline.bursts.best_frame import FRAMING_SPREAD
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import RatingSettings

COMPARED_AT_ONCE = 200  # photos of an old library that are read again: new ones wait for no more
_TAGS = "rating.burst_tags"  # the key of a note
_IS_OFF = "rating.off"  # the key of a note


def note_setting(library: Library, settings: RatingSettings, now: float) -> int:
    """Note `rating.bursts`, `rating.burst_tags` and whether rating is off; queue the stars that they change.

    Return how many files are to be looked at whose stars may be the same.
    """
    is_off = settings.mode == "off"
    with library.reading() as session:
        is_other_rule = (get_note(session, LIFTING) or "off") != settings.bursts
        has_other_tags = bool(get_note(session, _TAGS)) != settings.burst_tags
        was_off = bool(get_note(session, _IS_OFF))
    if not (is_other_rule or has_other_tags or is_off != was_off):
        return 0
    with library.writing() as session:
        put_note(session, LIFTING, settings.bursts, now)
        put_note(session, _TAGS, settings.burst_tags, now)
        put_note(session, _IS_OFF, is_off, now)
        if is_off:
            return 0
        rating_queue.enqueue(session, now)
        if was_off and not jobs.is_scoring_again(session):
            # Nothing was queued then: scores, groups, tags and titles may be others behind the same stars.
            return rating_queue.enqueue_written(session, now)
        return rating_queue.enqueue_rated(session, now) if has_other_tags else 0


class BurstStage:
    """Keeps the groups right while photos come and go. Owned by the main thread."""

    def __init__(self, library: Library, state: RunState, settings: RatingSettings) -> None:
        self._library = library
        self._state = state
        self._settings = settings
        self._may_lack_some = False
        self._rebuilding: Iterator[None] | None = None

    def begin(self) -> None:
        """Look for photos of an old library that were never compared, from now on; note the settings."""
        self._may_lack_some = True
        note_setting(self._library, self._settings, self._state.clock())

    def run_maintenance(self) -> None:
        """Group stale photos again, in one transaction; queue photos that were never compared."""
        try:
            if self._rebuilding is not None:
                self._rebuild()
                return
            with self._library.reading() as session:
                is_stale = burst_frames.has_stale(session)
                if is_stale and rebuilding.is_worthwhile(session):
                    self._rebuilding = rebuilding.rebuild(self._library, FRAMING_SPREAD, self._ask)
            if is_stale:
                self._regroup()
            elif self._may_lack_some:
                self._queue_unknown()
        except errors.Transient:
            return  # the library is busy; the next call tries again

    def _regroup(self) -> None:
        with self._library.writing(BRIEF_TIMEOUT_S) as session:
            changed = regrouping.regroup(session, FRAMING_SPREAD).changed
            self._ask(session, changed)
        if changed:
            self._state.wake()

    def _rebuild(self) -> None:
        """Go one step through the whole library."""
        assert self._rebuilding is not None
        try:
            next(self._rebuilding)
        except StopIteration:
            self._rebuilding = None
        except errors.MaclipError:
            self._rebuilding = None  # what is left is stale still
            raise
        self._state.wake()

    def _ask(self, session: Session, changed: Sequence[int]) -> None:
        """Ask for the ratings of photos whose group or place is another one now."""
        if self._state.is_calibrated and self._settings.mode != "off":
            jobs.enqueue(session, changed, "rate", self._state.clock())

    def _queue_unknown(self) -> None:
        now = self._state.clock()
        with self._library.reading() as session:
            if jobs.is_open(session, "score"):
                return  # one that is being scored has no descriptor yet, and would be scored twice
            unknown = burst_frames.unknown(session, COMPARED_AT_ONCE)
        self._may_lack_some = bool(unknown)
        if unknown:
            with self._library.writing(BRIEF_TIMEOUT_S) as session:
                jobs.enqueue(session, unknown, "score", now)
            self._state.wake()

    def is_settled(self) -> bool:
        """Return whether all photos are in their groups."""
        with self._library.reading() as session:
            return (
                self._rebuilding is None and not self._may_lack_some and not burst_frames.has_stale(session)
            )
