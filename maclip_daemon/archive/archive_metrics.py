"""Metrics of a bulk run for Prometheus, by the names that the daemon's have. None holds a photo's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from maclip_daemon import __version__
from maclip_daemon.archive.cluster import Cluster
from maclip_daemon.archive.planning.work_plan import WorkPlan
from maclip_daemon.archive.stages.run_tally import Counts
from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.iqa.photo_score import ScoringConfig
from maclip_daemon.settings import ListenSettings


class ArchiveCollector(Collector):
    """Collects the metrics of one run, which it observes. Thread-safe."""

    def __init__(self) -> None:
        self._plan: WorkPlan | None = None
        self._config: ScoringConfig | None = None
        self._cluster: Cluster | None = None
        self._counts = Counts()

    def planned(self, plan: WorkPlan, config: ScoringConfig) -> None:
        """Learn what is left to do."""
        self._plan, self._config = plan, config

    def started(self, cluster: Cluster) -> None:
        """Learn which machines do it."""
        self._cluster = cluster

    def progressed(self, counts: Counts) -> None:
        """Learn how far it is."""
        self._counts = counts

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the metrics follow the run."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics as they are now."""
        counts = self._counts
        yield InfoMetricFamily("maclip_build", "Version of maclip.", {"version": __version__})
        if self._config is not None:
            config = self._config
            model = {"model": config.model, "metric": config.metric, "protocol": config.protocol}
            yield InfoMetricFamily("maclip_scoring", "What photos are scored with.", model)
        done = CounterMetricFamily(
            "maclip_photos_processed", "Photos of this run, by what became of them.", labels=["outcome"]
        )
        done.add_metric(["scored"], counts.scored)
        done.add_metric(["failed"], counts.failed)
        yield done
        kinds = CounterMetricFamily(
            "maclip_photos_failed", "Failed photos of this run, by kind.", labels=["kind"]
        )
        for kind, number in counts.failures.items():
            kinds.add_metric([kind], number)
        yield kinds
        restarts = CounterMetricFamily(
            "maclip_child_restarts", "Children that died or hung, and are started again.", labels=["child"]
        )
        restarts.add_metric(["worker"], counts.restarts)
        yield restarts
        if self._plan is not None:
            left = max(0, self._plan.left - counts.done)
            yield GaugeMetricFamily("maclip_photos_left", "Photos of this run that wait.", value=left)
        if self._cluster is not None:
            yield GaugeMetricFamily("maclip_cores", "Processor cores of the run.", value=self._cluster.cores)


@contextmanager
def served(collector: ArchiveCollector, settings: ListenSettings) -> Iterator[None]:
    """Serve the metrics at the address of the settings, if they have one. Raises `EnvironmentUnfit`."""
    if not settings.address:
        yield
        return
    host, port = settings.host_and_port
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise EnvironmentUnfit(
            f"maclip cannot listen at {settings.address}: {error.strerror}. Choose another port or address "
            "with --listen (the setting listen.address)."
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
