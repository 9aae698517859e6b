"""Stars on demand (`maclip rate`): make a new calibration, and write the stars that it changes."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queries.other_libraries import shared_folders
from maclip_daemon.library.queue import jobs, rating_queue
from maclip_daemon.library.results import scores
from maclip_daemon.library.results.calibration import Calibration
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline import known_roots
from maclip_daemon.pipeline.bursts.burst_stage import note_setting
from maclip_daemon.pipeline.rating import deleted_sidecars
from maclip_daemon.pipeline.rating.calibration_stage import freeze
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.rating.rating_stage import RatingStage
from maclip_daemon.pipeline.recovery import recover
from maclip_daemon.pipeline.run_state import RunState, Tally
from maclip_daemon.pipeline.waits import Resource
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings


@dataclass(frozen=True)
class RateResult:
    """A calibration, made or previewed, and what it changes."""

    calibration: Calibration | None
    to_rate: int
    """Photos whose stars change."""
    to_retag: int
    """Photos whose files may change behind the same stars (`rating.bucket_tags`, `rating.pairs`)."""
    to_restore: int = 0
    """Photos whose sidecar another program deleted."""

    def sentence(self) -> str:
        """Return the result in words."""
        made = self.calibration
        if made is None:
            return (
                "No stars yet: fewer photos are scored than rating.minimum_photos, and this model has no "
                "star edges of its own. Score more photos with `maclip run FOLDER`, or lower "
                "rating.minimum_photos."
            )
        edges = ", ".join(f"{edge:.4f}" for edge in made.edges)
        origin = {
            "library": f"your {made.photo_count} photos",
            "reference": "the model's reference photos",
        }.get(made.source, "rating.edges of the configuration")
        photos = "1 photo" if self.to_rate == 1 else f"{self.to_rate} photos"
        sentence = (
            f"Calibration {made.number} from {origin}: 2, 3, 4 and 5 stars begin at the scores {edges}. "
            f"The stars of {photos} change."
        )
        if self.to_restore == 1:
            return f"{sentence} 1 sidecar that another program deleted is written again."
        if self.to_restore:
            return f"{sentence} {self.to_restore} sidecars that another program deleted are written again."
        return sentence


class _Rollback(Exception):
    """The end of a preview: roll its changes back."""


def calibrate(library: Library, settings: Settings, now: float) -> RateResult:
    """Freeze a new calibration from all current scores; queue what it changes, undone photos included."""
    noted = note_setting(library, settings.rating, now)
    lost = _deleted(library, settings)
    with library.writing() as session:
        found = _calibrate(session, settings, now, lost)
    return replace(found, to_retag=found.to_retag + noted)


def preview(library: Library, settings: Settings) -> RateResult:
    """Return what `calibrate` would do; nothing is changed."""
    found: RateResult | None = None
    lost = _deleted(library, settings)
    try:
        with library.writing() as session:
            found = _calibrate(session, settings, time.time(), lost)
            raise _Rollback
    except _Rollback:
        assert found is not None
        return found


def write(library: Library, settings: Settings) -> Tally:
    """Carry out all rate jobs. Only while no daemon uses this library.

    Jobs on a full disk, or on a server that does not answer, stay for the next run; `offline` of the tally
    has the reasons.
    """
    state = RunState(
        pause_s=math.inf, filesystem_timeout_s=settings.folders.filesystem_timeout_s
    )  # no command waits for a disk
    roots = _PingedRoots(state.probe)
    known_roots.refresh_mounts(library, state.probe)
    recover(library, state.probe, settings.data_dir / "spool", state.clock())
    with library.reading() as session:
        _active(session)
        waiting = jobs.waiting_path_by_device(session, "rate")
    for device, path in waiting.items():
        if roots.is_offline(path):
            roots.check_root_soon(path)
            state.waits.begin(Resource("offline disk", device), f"The disk of {path} cannot be read.")
    with MetadataWriter(known_roots.paths(library)) as writer:
        rate_jobs = RateJobs(library, state, settings.jobs, "maclip rate", roots)
        rating = RatingStage(rate_jobs, state, settings.rating, writer, darktable_patience_s=0.0)
        while rating.work() and not state.waits.reasons(disks=False):
            pass
    state.tally.offline = [*state.waits.reasons().values(), *sorted(roots.unreachable)]
    with library.snapshot() as snapshot:
        state.tally.shared = [each.sentence() for each in shared_folders(snapshot)]
    return state.tally


class _PingedRoots:
    """The roots of a command. Nobody watches them, so their servers are pinged."""

    def __init__(self, probe: FilesystemProbe) -> None:
        self._probe = probe
        self.unreachable: set[str] = set()
        """Why which server could not be reached."""

    def is_offline(self, path: str) -> bool:
        """Return whether the server of a photo does not respond."""
        try:
            self._probe.ping(path)
        except NoAnswer:
            return True
        return False

    def check_photo_soon(self, path: str) -> None:
        """Leave the photo to the next run."""

    def check_root_soon(self, path: str) -> None:
        """Record why the server of a photo cannot be reached."""
        try:
            self._probe.ping(path)
        except NoAnswer as error:
            self.unreachable.add(str(error))


def _deleted(library: Library, settings: Settings) -> list[int]:
    """Return the photos whose sidecar another program deleted."""
    probe = FilesystemProbe(settings.folders.filesystem_timeout_s)
    known_roots.refresh_mounts(library, probe)
    return [write.photo_id for write in deleted_sidecars.find_all(library, probe)]


def _calibrate(session: Session, settings: Settings, now: float, lost: list[int]) -> RateResult:
    config = _active(session)
    rating = settings.rating
    made, regrouped = freeze(session, rating, config.id, _reference_edges(settings, config), now)
    queued = rating_queue.enqueue(session, now, again=True) if made is not None else 0
    to_retag = 0 if rating.mode == "off" else rating_queue.enqueue_rated(session, now, regrouped)
    if made is not None and rating.bucket_tags:
        to_retag += rating_queue.enqueue_rated(session, now)
    if made is None or rating.mode == "off":
        lost = []
    jobs.enqueue(session, lost, "rate", now)
    return RateResult(made, queued, to_retag, len(lost))


def _active(session: Session) -> scores.StoredConfig:
    config = scores.active_scoring_config(session)
    if config is None:
        raise EnvironmentUnfit("No photo has a score yet. Run `maclip run FOLDER` first.")
    return config


def _reference_edges(settings: Settings, config: scores.StoredConfig) -> tuple[float, ...]:
    """Return the model's own edges, if the active scores are this model's."""
    try:
        identity = ScorerClient(settings.scoring, settings.data_dir).identity()
    except MaclipError:
        return ()  # no model is installed; the library's own photos still make a calibration
    same = (identity.metric, identity.model, identity.protocol) == (
        config.metric,
        config.model,
        config.protocol,
    )
    return identity.edges if same else ()
