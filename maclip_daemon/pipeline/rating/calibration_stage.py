"""Calibration: the user's own library decides where stars begin, frozen until it outgrows that.

While another model scores the library again, only new photos get stars. When all are done, one calibration
is made, and the stars of the others follow it once (decision 0035).
"""

from __future__ import annotations

from maclip_daemon.library.queue import jobs, rating_queue, rescoring
from maclip_daemon.library.results import calibration as calibrations
from maclip_daemon.library.results.calibration import Calibration, StarRule
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.pipeline import pairing
from maclip_daemon.pipeline.run_state import RunState, log
from maclip_daemon.settings import RatingSettings

FIRST_CALIBRATION_WHILE_BUSY = 200  # photos; before that, stars would be written over and over


class CalibrationStage:
    """The check whether a new calibration is due, and its making. Owned by the rating thread."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        settings: RatingSettings,
        scoring_config_id: int,
        reference_edges: tuple[float, ...],
    ) -> None:
        self._library = library
        self._state = state
        self._settings = settings
        self._scoring_config_id = scoring_config_id
        self._reference_edges = reference_edges
        self._considered_at = -1  # photos that this run had scored when calibration was last considered
        self._is_rescoring = False  # whether photos were left to score again when it was last considered
        with library.reading() as session:
            # Photos may be scored before the rating thread begins: their stars are due in this run, too.
            state.is_calibrated = calibrations.current(session, scoring_config_id) is not None

    @property
    def is_settled(self) -> bool:
        """Return whether calibration was considered after the last score of this run."""
        return self._considered_at == self._state.tally.scored and not self._is_rescoring

    def renew_if_due(self) -> None:
        """Make a new calibration when the library has outgrown the current one, and queue what it changes.

        While photos are being scored the library must have doubled: each renewal rewrites many files.
        """
        scored = self._state.tally.scored
        if scored == self._considered_at and not self._is_rescoring:
            return
        with self._library.reading() as session:
            waiting = jobs.next_due(session, "score")
            held = jobs.counts(session, "score").leased
            is_rescoring = jobs.is_scoring_again(session)
            must_follow = is_rescoring or rescoring.is_open(session, self._scoring_config_id)
            current = calibrations.current(session, self._scoring_config_id)
        if current is not None:
            self._state.is_calibrated = True
        if must_follow or self._is_rescoring:
            self._follow_rescoring(current, is_over=not is_rescoring)
            self._considered_at = scored
            return
        if held or (waiting is not None and waiting <= self._state.clock()):
            floor = max(FIRST_CALIBRATION_WHILE_BUSY, current.photo_count if current else 0)
            if scored - max(self._considered_at, 0) < floor:
                return
        with self._library.writing() as session:
            rule = star_rule(self._settings, self._reference_edges)
            if calibrations.needs_renewal(session, self._scoring_config_id, rule):
                self._state.is_calibrated = self._calibrate(session) is not None or current is not None
            elif current is not None and self._considered_at < 0 and self._settings.mode != "off":
                # An earlier run scored these, and then was stopped or had `rating.mode` off.
                rating_queue.enqueue(session, self._state.clock())
        self._considered_at = scored

    def _follow_rescoring(self, current: Calibration | None, *, is_over: bool) -> None:
        """Calibrate for new photos while others are scored again, and once for all when none is left."""
        begins, self._is_rescoring = not self._is_rescoring, True
        if is_over:
            with self._library.writing() as session:
                made = self._calibrate(session, is_another_model=True)
                rescoring.end(session, self._state.clock())
            self._is_rescoring = False
            self._state.is_calibrated |= made is not None
        elif current is None and self._can_calibrate_early():
            now = self._state.clock()
            with self._library.writing() as session:
                made, _ = freeze(session, self._settings, self._scoring_config_id, self._reference_edges, now)
                self._rate_new(session)
            self._state.is_calibrated = made is not None
        elif current is not None and begins:  # an earlier run scored new photos, and then was stopped
            with self._library.writing() as session:
                self._rate_new(session)

    def _rate_new(self, session: Session) -> None:
        if self._settings.mode != "off":
            queued = rating_queue.enqueue_new(session, self._state.clock())
            log.info("stars for new photos while others are scored again", photos_to_rate=queued)

    def _can_calibrate_early(self) -> bool:
        """Return whether stars for new photos can be more than a guess from a few scores."""
        rule = star_rule(self._settings, self._reference_edges)
        has_edges = rule.absolute_edges is not None or rule.reference_edges is not None
        return has_edges or self._state.tally.scored >= FIRST_CALIBRATION_WHILE_BUSY

    def _calibrate(self, session: Session, *, is_another_model: bool = False) -> Calibration | None:
        """Freeze a calibration from all current scores, and queue every photo whose stars change."""
        now = self._state.clock()
        made, regrouped = freeze(session, self._settings, self._scoring_config_id, self._reference_edges, now)
        if self._settings.mode == "off":
            return made
        rating_queue.enqueue_rated(session, now, regrouped)
        if made is not None:
            queued = rating_queue.enqueue(session, now)
            # The first of a scoring config: the files still hold the scores of another model.
            if self._settings.bucket_tags or made.number == 1 or is_another_model:
                rating_queue.enqueue_rated(session, now)
            log.info(
                "new limits between the stars",
                number=made.number,
                photos=made.photo_count,
                photos_to_rate=queued,
            )
        return made


def freeze(
    session: Session,
    settings: RatingSettings,
    scoring_config_id: int,
    reference_edges: tuple[float, ...],
    now: float,
) -> tuple[Calibration | None, set[int]]:
    """Make a new calibration from all current pairs and scores; None without enough photos or edges.

    Return it, and the files of pairs that are new or no more: behind the same stars stands another score.
    """
    regrouped = pairing.update(session, settings)
    rule = star_rule(settings, reference_edges)
    return calibrations.renew(session, scoring_config_id, rule, now), regrouped


def star_rule(settings: RatingSettings, reference_edges: tuple[float, ...]) -> StarRule:
    """Return where stars begin; a model that ships no edges has `()`."""
    edges = reference_edges if len(reference_edges) == 4 else None
    return StarRule(settings.shares, settings.minimum_photos, edges, settings.edges)
