"""A bulk run: what is left of an archive goes through Ray Data, from addresses to Parquet."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from maclip_daemon.archive.addresses.address_errors import readable
from maclip_daemon.archive.cluster import joined
from maclip_daemon.archive.generations import Generation, generation_of
from maclip_daemon.archive.planning.listing import photos_of
from maclip_daemon.archive.planning.work_plan import WorkPlan, chunk_rows, planner
from maclip_daemon.archive.ray_remarks import kept_back
from maclip_daemon.archive.rows import FAILED, SCORED
from maclip_daemon.archive.run_lock import Beat, locked
from maclip_daemon.archive.run_watch import Observer, RunWatch, raised_plainly
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.decode_stage import DecodeStage
from maclip_daemon.archive.stages.run_tally import Counts, start_tally
from maclip_daemon.archive.stages.score_stage import ScoreStage
from maclip_daemon.archive.stages.stage_chain import Stages, chained
from maclip_daemon.archive.storage import Pauses, Place, insist, place_of
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, UsageError
from maclip_daemon.files.paths import expanded, printable_utf8
from maclip_daemon.iqa.photo_score import ScoringConfig
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings

_PLANS = "_plan"


@dataclass(frozen=True)
class ArchiveRequest:
    """What a bulk run is asked to do."""

    source: str
    out: str
    settings: Settings
    cores: int
    """Of this machine, that a run without a cluster may use."""
    column: str | None = None
    """Of a Parquet table: its addresses."""
    address: str | None = None
    """Of a Ray cluster; None: this machine alone."""
    retry_failed: bool = False
    """Try photos again that failed in earlier runs."""


@dataclass(frozen=True)
class ArchiveResult:
    """What a run did."""

    plan: WorkPlan
    config: ScoringConfig
    generation: int
    scored: int = 0
    failed: int = 0
    """Photos of this run without a score."""
    counts: Counts = field(default_factory=Counts)
    remarks: Path | None = None
    """What Ray said about its workers; None: nothing."""


def run(
    request: ArchiveRequest,
    observer: Observer,
    stages: Stages = (DecodeStage, ScoreStage),
) -> ArchiveResult:
    """Judge what is left of an archive; return what was done.

    `stages`: other ones measure what the rest costs.

    Raises `UsageError` for an empty or wrong source, `AlreadyRunning`, `NoSpace`, `ModelUnavailable`, and
    `EnvironmentUnfit` for anything else that a person must repair. What is written stays.
    """
    settings = request.settings
    pauses = Pauses(settings.archive.storage_attempts, settings.archive.storage_pause_s)
    with contextlib.closing(ScorerClient(settings.scoring, settings.data_dir)) as client:
        config = client.identity()
    out = _absolute(request.out)
    place = _reached(out)
    run_name = secrets.token_hex(6)
    with _as_environment(), locked(place, run_name, pauses) as beat:
        generation = generation_of(place, config, pauses)
        plans = place.folder(f"{_PLANS}/{run_name}")
        try:
            plan = _plan(request, generation, plans, pauses)
            observer.planned(plan, config)
            if not plan.left:
                return ArchiveResult(plan, config, generation.number)
            job = _Job(request, config, generation, run_name, out, stages)
            result = _work(job, plan, observer, beat)
        finally:
            _remove_plan(plans, pauses)
        if request.retry_failed:
            _remove(generation, generation.parts_of(FAILED), pauses)
        return result


@dataclass(frozen=True)
class _Job:
    request: ArchiveRequest
    config: ScoringConfig
    generation: Generation
    run: str
    out: str
    stages: Stages


def _absolute(address: str) -> str:
    return address if "://" in address else os.path.abspath(expanded(address))


def _reached(out: str) -> Place:
    """Return the place of the results. Raises at once where nothing answers, before work is planned."""
    with readable(printable_utf8(out)):
        place = place_of(out)
        if not place.is_local:
            with contextlib.suppress(FileNotFoundError):
                place.file_system.info(place.path)
        return place


def _plan(request: ArchiveRequest, generation: Generation, plans: Place, pauses: Pauses) -> WorkPlan:
    settings = request.settings
    with planner(settings.archive.planning_mib, pauses) as made:
        listed = made.list(photos_of(request.source, column=request.column, exclude=settings.folders.exclude))
        if not listed:
            raise UsageError(
                f"{printable_utf8(request.source)} names no photos. Name a folder or a list that does."
            )
        failed_too = not request.retry_failed
        left = made.subtract(generation.place, generation.parts, failed_too=failed_too)
        rows = chunk_rows(
            left, request.cores, batch=settings.scoring.batch_photos, most=settings.archive.chunk_photos
        )
        return WorkPlan(listed, left, made.next_moment(), tuple(made.write(plans, rows)))


def _work(job: _Job, plan: WorkPlan, observer: Observer, beat: Beat) -> ArchiveResult:
    """Start or join Ray, and push the plan through its stages."""
    request, settings = job.request, job.request.settings
    scored = failed = 0
    with (
        joined(request.address, settings.archive, request.cores, settings.decoding.workers) as cluster,
        kept_back(cluster.session) as remarks,
    ):
        observer.started(cluster)
        tally = start_tally()
        told = ArchiveJob(
            job.run, job.out, job.generation.number, job.config, plan.scored_after,
            settings.decoding, settings.scoring, settings.archive, settings.data_dir, tally,
        )  # fmt: skip
        with RunWatch(tally, observer, beat) as watch, raised_plainly(tally, remarks):
            for counts in chained(plan, told, cluster, job.stages).iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                scored += sum(counts[SCORED].to_pylist())
                failed += sum(counts[FAILED].to_pylist())
            watch.look()
        counted = watch.counts
    said = None if remarks.is_empty else remarks.path
    return ArchiveResult(plan, job.config, job.generation.number, scored, failed, counted, said)


@contextlib.contextmanager
def _as_environment() -> Iterator[None]:
    """Raise what is wrong with the results folder, and with no single photo, as that."""
    try:
        yield
    except Poison as error:
        raise EnvironmentUnfit(str(error)) from None


def _remove_plan(plans: Place, pauses: Pauses) -> None:
    if plans.is_local:
        shutil.rmtree(plans.path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(plans.path))  # noqa: PTH106, PTH120
        return
    with contextlib.suppress(MaclipError):  # the next run does not look at it
        insist(lambda: plans.file_system.rm(plans.path, recursive=True), pauses, plans.path)


def _remove(generation: Generation, parts: tuple[str, ...], pauses: Pauses) -> None:
    """Remove rows of failures whose photos were tried again, and have new rows now."""
    for part in parts:
        with contextlib.suppress(MaclipError):
            insist(lambda part=part: generation.place.file_system.rm_file(part), pauses, part)  # type: ignore[misc]
