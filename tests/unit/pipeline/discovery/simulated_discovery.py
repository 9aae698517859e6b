"""A discovery stage in simulated time: its waiting moves a clock, and the test emits the watcher's events."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.folders.events import Coverage, EventKind, FolderEvent
from maclip_daemon.folders.root_health import Root
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.pipeline.discovery import (
    discovery_stage,
    reconciliation,
    watched_root,
    watcher_supervisor,
)
from maclip_daemon.pipeline.discovery.discovery_stage import DiscoveryStage
from maclip_daemon.pipeline.discovery.watched_root import WatchedRoot
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.waits import Resource, Wait, Waits
from maclip_daemon.settings import FolderSettings
from tests.rated_library import RatedLibrary

Step = tuple[float, Callable[[], object]]


class Clock:
    """The time module of the stage; `wait` runs the steps of the test that are due."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.files_age_s = 3600.0
        """How long ago files of now were written, for scans."""
        self.steps: list[Step] = []

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return time.time_ns() + int(self.files_age_s * 1e9)

    def wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Advance by `seconds`, or to the step after which the wait `is_over`."""
        end = self.now + seconds
        while self.steps and self.steps[0][0] <= end:
            at, step = self.steps.pop(0)
            self.now = max(self.now, at)
            step()
            if is_over():
                return
        self.now = end


class FakeWatcher:
    """A watcher of which the test decides when it dies."""

    def __init__(self, on_event: Callable[[FolderEvent], None], started_at: float) -> None:
        self.on_event = on_event
        self.started_at = started_at
        self.alive = True
        self.is_closed = False

    def coverage(self) -> Coverage:
        return Coverage(1, 1, None, (), "")

    def close(self) -> None:
        self.is_closed = True


class RecordingMonitor(SidecarMonitor):
    """Counts the requests to check all sidecars."""

    full_checks = 0

    def request_full_check(self) -> None:
        self.full_checks += 1

    def check(self, writer: MetadataWriter) -> int:
        raise AssertionError("discovery opens no sidecar")


class SimulatedDiscovery:
    """A stage with one root, `rated.folder`. Between two scans lie 300 s; files settle in 2 s."""

    def __init__(
        self,
        rated: RatedLibrary,
        monkeypatch: pytest.MonkeyPatch,
        *,
        once: bool = False,
        settings: FolderSettings | None = None,
    ) -> None:
        self.clock = clock = Clock()
        self.rated = rated
        self.watchers: list[FakeWatcher] = []
        self.problem: EnvironmentUnfit | None = None
        """Why no watcher can be started."""

        class ClockQueue(queue.Queue[Any]):
            """A queue on which waiting moves the clock."""

            def get(self, block: bool = True, timeout: float | None = None) -> Any:
                if block and self.empty():
                    assert timeout is not None
                    clock.wait(timeout, lambda: not self.empty())
                return super().get(block=False)

        def watch(root: object, exclusion: object, is_watched: object, on_event: Any) -> FakeWatcher:
            if self.problem is not None:
                raise self.problem
            self.watchers.append(FakeWatcher(on_event, clock.now))
            return self.watchers[-1]

        for module in (discovery_stage, reconciliation, watched_root, watcher_supervisor):
            monkeypatch.setattr(module, "time", clock)
        module_of_queues = SimpleNamespace(Queue=ClockQueue, Empty=queue.Empty, Full=queue.Full)
        monkeypatch.setattr(discovery_stage, "queue", module_of_queues)
        monkeypatch.setattr(watcher_supervisor, "watch", watch)
        self.state = rated.state
        self.state.waits = Waits(30, clock.monotonic, clock.monotonic)
        self.monitor = RecordingMonitor(rated.library, self.state, clock.monotonic)
        root = Root(str(rated.folder))
        self.root = WatchedRoot(rated.library, self.state, settings or FolderSettings(), root)
        self.stage = DiscoveryStage(rated.library, self.state, [self.root], self.monitor, once=once)

    def run(self, seconds: float, *steps: Step) -> None:
        """Run the stage for simulated `seconds`; it scans first. Each step runs at its second."""
        began = self.clock.now
        self.state.stopping.clear()
        self.clock.steps = [(began + at, step) for at, step in steps]
        self.clock.steps.append((began + seconds, self.state.stop))
        self.stage.run()
        assert not self.clock.steps

    def emit(self, kind: EventKind, path: object, destination: object = "", reason: str = "") -> None:
        """Report an event of the newest watcher."""
        self.watchers[-1].on_event(FolderEvent(kind, str(path), str(destination), reason))

    def photos(self) -> list[tuple[str, str]]:
        """Return name and state of each photo."""
        return self.rated.rows("select file_name, state from photos order by file_name")

    def wait_for(self, kind: str, of: object) -> Wait | None:
        """Return the wait for a resource, where there is one."""
        waits = {wait.resource: wait for wait in self.state.waits.list()}
        return waits.get(Resource(kind, str(of)))  # type: ignore[arg-type]
