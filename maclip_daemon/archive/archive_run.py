"""A bulk run: what is left of an archive goes through Ray Data, from addresses to Parquet."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from maclip_daemon import __version__, errors
from maclip_daemon.archive.address_errors import readable
from maclip_daemon.archive.cluster import WRITER_CPUS, Cluster, joined
from maclip_daemon.archive.generations import Generation, generation_of
from maclip_daemon.archive.planning.listing import photos_of
from maclip_daemon.archive.planning.work_plan import WorkPlan, planner
from maclip_daemon.archive.rows import FAILED, SCORED
from maclip_daemon.archive.run_lock import Beat, locked
from maclip_daemon.archive.stages.archive_job import ArchiveJob
from maclip_daemon.archive.stages.decode_stage import DecodeStage
from maclip_daemon.archive.stages.result_parts import write_parts
from maclip_daemon.archive.stages.run_tally import Counts, start_tally
from maclip_daemon.archive.stages.score_stage import ScoreStage
from maclip_daemon.archive.storage import Pauses, Place, insist, place_of
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, UsageError
from maclip_daemon.files.paths import expanded, printable_utf8
from maclip_daemon.iqa.photo_score import ScoringConfig
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import Settings

_LOOK_S = 1.0  # seconds between two looks at the count
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


class Observer(Protocol):
    """Who watches a run."""

    def planned(self, plan: WorkPlan, config: ScoringConfig) -> None:
        """Learn what is left to do."""

    def started(self, cluster: Cluster) -> None:
        """Learn which machines do it."""

    def progressed(self, counts: Counts) -> None:
        """Learn how far it is, about once a second."""


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


def run(
    request: ArchiveRequest,
    observer: Observer,
    stages: tuple[type[Any], type[Any]] = (DecodeStage, ScoreStage),
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
    with readable(printable_utf8(out)):
        place = place_of(out)
    run_name = secrets.token_hex(6)
    with _as_environment(), locked(place, run_name, pauses) as beat:
        generation = generation_of(place, config, pauses)
        plans = Place(place.file_system, place.below(f"{_PLANS}/{run_name}"))
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
    stages: tuple[type[Any], type[Any]]


def _absolute(address: str) -> str:
    return address if "://" in address else os.path.abspath(expanded(address))


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
        whole = min(settings.scoring.batch_photos, -(-left // request.cores))  # a batch, if there are so many
        rows = max(1, min(settings.archive.chunk_photos, max(whole, left // (4 * request.cores))))
        return WorkPlan(listed, left, tuple(made.write(plans, rows)))


def _work(job: _Job, plan: WorkPlan, observer: Observer, beat: Beat) -> ArchiveResult:
    """Start or join Ray, and push the plan through its stages."""
    request, settings = job.request, job.request.settings
    scored = failed = 0
    with joined(request.address, settings.archive, request.cores, settings.decoding.workers) as cluster:
        observer.started(cluster)
        tally = start_tally()
        told = ArchiveJob(
            job.run, job.out, job.generation.number, job.config,
            settings.decoding, settings.scoring, settings.archive, settings.data_dir, tally,
        )  # fmt: skip
        with _watched(tally, observer, beat) as watch, _raised_plainly(tally):
            for counts in _stages(plan, told, cluster, job.stages).iter_batches(
                batch_size=None, batch_format="pyarrow", prefetch_batches=0
            ):
                scored += sum(counts[SCORED].to_pylist())
                failed += sum(counts[FAILED].to_pylist())
            watch.look()
        counted = watch.counts
    return ArchiveResult(plan, job.config, job.generation.number, scored, failed, counted)


def _stages(plan: WorkPlan, job: ArchiveJob, cluster: Cluster, stages: tuple[type[Any], type[Any]]) -> Any:
    """Return the data set of Ray whose rows are the counts of written photos."""
    import ray.data
    from ray.data import ActorPoolStrategy, DataContext

    decode, score = stages
    context = DataContext.get_current()
    context.target_max_block_size = job.archive.pixels_mib << 20
    chunks = [{"plan": file, "group": group} for file, group in plan.chunks]
    decoders = min(cluster.decoders, len(chunks))
    threads = cluster.cores_per_model
    work: Any = ray.data.from_items(chunks, override_num_blocks=len(chunks))
    work = work.map_batches(
        decode,
        fn_constructor_args=(job,),
        batch_size=1,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=decoders),
        **cluster.decoder_resources,
    )
    work = work.map_batches(
        score,
        fn_constructor_args=(job, __version__, threads),
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=min(cluster.models, len(chunks))),
        **cluster.model_resources,
    )
    return work.map_batches(
        write_parts,
        fn_args=(job,),
        batch_size=job.archive.rows_per_file,
        batch_format="pyarrow",
        num_cpus=WRITER_CPUS,
    )


class _Watch:
    """Looks at the tally once a second, and gives signs of life."""

    def __init__(self, tally: Any, observer: Observer, beat: Beat) -> None:
        self._tally = tally
        self._observer = observer
        self._beat = beat
        self.counts = Counts()
        self.ended = threading.Event()

    def look(self) -> None:
        """Look once."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):  # it is being started again
            self.counts = ray.get(self._tally.counts.remote(), timeout=10)
        self._observer.progressed(self.counts)

    def keep_looking(self) -> None:
        """Look until the run has ended."""
        while not self.ended.wait(_LOOK_S):
            self.look()
            with contextlib.suppress(MaclipError):
                self._beat.now()


@contextlib.contextmanager
def _watched(tally: Any, observer: Observer, beat: Beat) -> Iterator[_Watch]:
    watch = _Watch(tally, observer, beat)
    thread = threading.Thread(target=watch.keep_looking, name="archive progress", daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        thread.join()


@contextlib.contextmanager
def _as_environment() -> Iterator[None]:
    """Raise what is wrong with the results folder, and with no single photo, as that."""
    try:
        yield
    except Poison as error:
        raise EnvironmentUnfit(str(error)) from None


@contextlib.contextmanager
def _raised_plainly(tally: Any) -> Iterator[None]:
    """Raise what ended the run in a worker as this program's own error."""
    import ray

    try:
        yield
    except ray.exceptions.RayError as error:
        told = None
        with contextlib.suppress(ray.exceptions.RayError):
            told = ray.get(tally.reason.remote(), timeout=10)
        if told is not None:
            kind, reason = told
            raise getattr(errors, kind, EnvironmentUnfit)(reason) from None
        raise EnvironmentUnfit(
            "The cluster could not go on with the work. Look into Ray's log, then run the command again: it "
            "goes on where it was."
        ) from error


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
