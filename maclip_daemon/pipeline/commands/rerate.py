"""Stars on demand (`maclip rate`): a new calibration, and the writing of what it changes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, NoAnswer
from maclip_daemon.library.queue import jobs, rating_queue
from maclip_daemon.library.results import scores
from maclip_daemon.library.results.calibration import Calibration
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline import root_opening
from maclip_daemon.pipeline.pauses import AwayDisks
from maclip_daemon.pipeline.rating.calibration_stage import freeze
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.rating.recovery import recover
from maclip_daemon.pipeline.run_state import RunState, Tally
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings


@dataclass(frozen=True)
class RateResult:
    """What a calibration is, or would be, and what it changes."""

    calibration: Calibration | None
    to_rate: int
    """Photos whose stars change."""
    to_look_at: int
    """Photos whose tags may change (`rating.bucket_tags`)."""

    def sentence(self) -> str:
        """Say it in words."""
        made = self.calibration
        if made is None:
            return (
                "No stars yet: too few scored photos (rating.minimum_photos), and this model has no edges "
                "of its own."
            )
        edges = ", ".join(f"{edge:.4f}" for edge in made.edges)
        origin = {
            "library": f"your {made.photo_count} photos",
            "reference": "the model's reference photos",
        }.get(made.source, "the edges of the configuration")
        return (
            f"Calibration {made.number} from {origin}: 2, 3, 4, 5 stars from {edges}. "
            f"{self.to_rate} photos change."
        )


class _Rollback(Exception):
    """Takes a preview's changes back."""


def calibrate(library: Library, settings: Settings, now: float) -> RateResult:
    """Freeze a new calibration of the active scores and queue what it changes; undone photos included."""
    with library.writing() as session:
        return _calibrate(session, settings, now)


def preview(library: Library, settings: Settings) -> RateResult:
    """Say what `calibrate` would do, changing nothing."""
    found: RateResult | None = None
    try:
        with library.writing() as session:
            found = _calibrate(session, settings, time.time())
            raise _Rollback
    except _Rollback:
        assert found is not None
        return found


def write(library: Library, settings: Settings) -> Tally:
    """Carry out all rate jobs. Only while no daemon works with this library.

    Where a disk is full, or a server does not answer, the jobs of its photos stay for the next run, and all
    others are done; why, is in `offline` of the tally.
    """
    state = RunState(pause_s=settings.jobs.pause_s, answer_s=settings.folders.answer_s)
    state.away = AwayDisks(math.inf)  # nobody waits here for a disk that is away
    silent: set[str] = set()

    def is_offline(path: str) -> bool:
        try:
            state.probe.ping(path)
        except NoAnswer as error:
            silent.add(str(error))
            return True
        return False

    root_opening.look_at_known(library, state.probe)
    recover(library, state.probe, settings.data_dir / "spool", state.clock())
    with library.reading() as session:
        config = _active(session)
        places = jobs.place_on_each_device(session, "rate")
    for device, path in places.items():
        if is_offline(path):
            state.away.add(device)
    with MetadataWriter() as writer:
        rate_jobs = RateJobs(library, state, settings.jobs, "maclip rate", is_offline)
        rating = RatingStage(rate_jobs, state, settings.rating, writer, config.id)
        while rating.work() and not state.pauses.reasons(disks=False):
            pass
    state.tally.offline = [*state.pauses.reasons().values(), *sorted(silent)]
    return state.tally


def _calibrate(session: Session, settings: Settings, now: float) -> RateResult:
    config = _active(session)
    rating = settings.rating
    made = freeze(session, rating, config.id, _reference_edges(settings, config), now)
    queued = rating_queue.enqueue(session, now, again=True) if made is not None else 0
    looked_at = rating_queue.enqueue_rated(session, now) if made is not None and rating.bucket_tags else 0
    return RateResult(made, queued, looked_at)


def _active(session: Session) -> scores.StoredConfig:
    config = scores.active_scoring_config(session)
    if config is None:
        raise EnvironmentUnfit("No photo is scored yet. `maclip run FOLDER` does that.")
    return config


def _reference_edges(settings: Settings, config: scores.StoredConfig) -> tuple[float, ...]:
    """The model's own edges, where the scores in force are this model's."""
    try:
        identity = ScorerClient(settings.scoring, settings.data_dir).identity()
    except MaclipError:
        return ()  # the model is away; the library's own photos still make a calibration
    same = (identity.metric, identity.model, identity.protocol) == (
        config.metric,
        config.model,
        config.protocol,
    )
    return identity.edges if same else ()
