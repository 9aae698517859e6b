"""Metrics of the daemon for Prometheus, made when it asks. None holds a name or a path of a photo."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator

import psutil
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from maclip_daemon import __version__
from maclip_daemon.errors import MaclipError
from maclip_daemon.library.queries.work_counts import WorkCounts, work_counts
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.stage_times import BOUNDS_S
from maclip_daemon.processes import child_deaths
from maclip_daemon.web.status.watched_daemon import WatchedDaemon

_OUTCOMES = ("scored", "copied", "rated", "kept", "skipped", "adopted", "contested")


def registry(daemon: WatchedDaemon) -> CollectorRegistry:
    """Return the metrics of a daemon, and those of its process that the official client has."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    made.register(DaemonCollector(daemon))
    return made


class DaemonCollector(Collector):
    """Collects the daemon's own metrics. Thread-safe."""

    def __init__(self, daemon: WatchedDaemon) -> None:
        self._daemon = daemon

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: registering must not ask the library."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now."""
        yield InfoMetricFamily("maclip_build", "Version of maclip.", {"version": __version__})
        yield _gauge("maclip_healthy", "1: nothing needs a person.", {(): self._daemon.health().is_good})
        yield _gauge("maclip_memory_bytes", "Resident memory.", _memory(self._daemon.pipeline), "process")
        deaths = CounterMetricFamily(
            "maclip_child_restarts", "Children that died or hung, and are started again.", labels=["child"]
        )
        for child, number in child_deaths.counts().items():
            deaths.add_metric([child], number)
        yield deaths
        if (pipeline := self._daemon.pipeline) is not None:
            yield from _of_run(pipeline)
            with contextlib.suppress(MaclipError), pipeline.library.snapshot() as snapshot:
                counts = work_counts(snapshot, time.time())
                yield from _of_library(counts)


def _of_run(pipeline: Pipeline) -> Iterator[Metric]:
    identity = pipeline.identity
    model = {"model": identity.model, "metric": identity.metric, "protocol": identity.protocol}
    yield InfoMetricFamily("maclip_scoring", "What photos are scored with.", model)
    done = CounterMetricFamily(
        "maclip_photos_processed", "Photos of this run, by what became of them.", labels=["outcome"]
    )
    tally = pipeline.state.tally
    for outcome in _OUTCOMES:
        done.add_metric([outcome], getattr(tally, outcome))
    done.add_metric(["failed"], len(tally.failed))
    yield done
    about = "Seconds of one photo in a stage; photos of a batch share its time."
    times = HistogramMetricFamily("maclip_stage_seconds", about, labels=["stage"])
    for stage, each in pipeline.state.stage_times.all().items():
        totals = itertools.accumulate(each.counts)
        bounds = [*(f"{bound:g}" for bound in BOUNDS_S), "+Inf"]
        times.add_metric([stage], list(zip(bounds, totals, strict=True)), each.total_s)
    yield times
    kinds = {(str(wait.resource.kind),): 1.0 for wait in pipeline.state.waits.list() if wait.is_pause}
    yield _gauge("maclip_paused", "1: work waits for this.", kinds, "reason")
    stalled = {(part,): 1.0 for part in pipeline.state.heartbeat.stalled()}
    yield _gauge("maclip_stalled", "1: this part of the daemon does not respond.", stalled, "part")


def _of_library(counts: WorkCounts) -> Iterator[Metric]:
    photos = {(state,): number for state, number in counts.photos.items()}
    yield _gauge("maclip_photos", "Photos that the library knows.", photos, "state")
    yield _gauge("maclip_jobs", "Jobs of the queue.", counts.jobs, "kind", "state")
    oldest = {(kind,): seconds for kind, seconds in counts.oldest_job_s.items()}
    yield _gauge("maclip_oldest_job_seconds", "How long the job that waits longest is due.", oldest, "kind")
    roots = {(state,): number for state, number in counts.roots.items()}
    yield _gauge("maclip_folders", "Watched folders.", roots, "state")


def _gauge(name: str, about: str, values: dict[tuple[()], bool] | _Values, *labels: str) -> Metric:
    made = GaugeMetricFamily(name, about, labels=labels)
    for names, value in values.items():
        made.add_metric(list(names), float(value))
    return made


_Values = dict[tuple[str], int] | dict[tuple[str], float] | dict[tuple[str, str], int]


def _memory(pipeline: Pipeline | None) -> dict[tuple[str], float]:
    """Return the memory of the daemon and its children, by what they do."""
    pids: list[tuple[str, int | None]] = [("daemon", os.getpid())]
    if pipeline is not None:
        pids += [("decoders", each.pid) for each in pipeline.scoring.decoders]
        pids += [("scorer", pipeline.client.pid), ("metadata", pipeline.writer.pid)]
    found: dict[tuple[str], float] = dict.fromkeys([(name,) for name, _ in pids], 0.0)
    for name, pid in pids:
        with contextlib.suppress(psutil.Error):  # it has just ended
            found[name,] += 0.0 if pid is None else psutil.Process(pid).memory_info().rss
    return found
