"""One against two machines of Ray, on this one: each has one processor core, and a model of its own."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.archive import Silent
from bench.archive_processes import ProcessTree
from maclip_daemon import settings
from maclip_daemon.archive.archive_run import ArchiveRequest, run


def one_and_two(photos: Path, turns: int) -> Iterator[dict[str, Any]]:
    """Yield what one and two machines took for these photos, in turns: one, two, two, one, …"""
    for turn in range(turns):
        for machines in (1, 2) if turn % 2 == 0 else (2, 1):
            with _cluster(machines) as address, tempfile.TemporaryDirectory() as out:
                yield {"machines": machines, **_taken(photos, out, address), "load": os.getloadavg()[0]}


def _taken(photos: Path, out: str, address: str) -> dict[str, Any]:
    observer = Silent()
    processes = ProcessTree()
    # Small chunks: the last ones end at about the same time.
    archive = settings.ArchiveSettings(chunk_photos=8)
    chosen = settings.load().model_copy(update={"archive": archive})
    result = run(ArchiveRequest(str(photos), out, chosen, cores=2, address=address), observer)
    ended = time.monotonic()
    processes.end()
    done = result.scored + result.failed
    return {
        "photos": done,
        "work_s": round(ended - observer.began, 1),
        "photos_a_second": round((done - observer.first) / (ended - observer.first_at), 3),
        "processor_s": processes.processor_s(),
    }


@contextmanager
def _cluster(machines: int) -> Iterator[str]:
    """Start machines that are each held on a core; the first one carries Ray's head and the driver.

    So it is with real ones. With a head of its own, one machine alone would have its head and its driver on
    the core that the second machine brings.
    """
    os.environ.update(RAY_worker_niceness="0", RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    store = 200 << 20
    allowed = sorted(os.sched_getaffinity(0))
    try:
        os.sched_setaffinity(
            0, {allowed[0]}
        )  # what is started inherits it, and so do the threads of the driver
        first = {"num_cpus": 1, "object_store_memory": store, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=first)
        for core in allowed[1:machines]:
            os.sched_setaffinity(0, {core})
            cluster.add_node(num_cpus=1, object_store_memory=store)
        os.sched_setaffinity(0, {allowed[0]})
        yield cluster.address
    finally:
        os.sched_setaffinity(0, allowed)
        cluster.shutdown()
