"""What this process and all below it take while something runs: memory, and processor time by their kind."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable

import psutil

_LOOK_S = 1.0  # seconds; of a process that ends, what it does after the last look is not seen
_KINDS = {
    "ray::": r"ray::(?:\w*\(?MapBatches\()?([\w.]+)",
    "gcs_server": r"(gcs_server)",
    "raylet": r"(raylet)/raylet",
    "agents": r"(dashboard/agent|runtime_env/agent)",
    "dashboard": r"(dashboard/dashboard)",
    "monitors": r"(log_monitor|autoscaler/_private/monitor)",
    "children": r"(scoring_process|decoder_process|metadata_process)",
    "maclip": r"-m (maclip_daemon \w+)",
}


class ProcessTree:
    """Looks at this process and its descendants once a second."""

    def __init__(self, has_begun: Callable[[], bool] = lambda: True) -> None:
        """`has_begun`: whether the work has begun; the memory before is counted apart."""
        self.before_mib = self.own_mib = self.workers_mib = 0
        self._has_begun = has_begun
        self._me = psutil.Process()
        self._at_start = sum(self._me.cpu_times()[:2])
        self._seen: dict[tuple[int, float], tuple[str, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_looking, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look for the last time."""
        self._ended.set()
        self._thread.join()
        self._look()

    def processor_s(self) -> dict[str, float]:
        """Return the seconds of processor time by kind of process, the most first."""
        spent: Counter[str] = Counter()
        for kind, seconds in self._seen.values():
            spent[kind] += seconds  # type: ignore[assignment]
        return {kind: round(seconds, 1) for kind, seconds in spent.most_common()}

    def _keep_looking(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        mine = self._me.memory_info()
        own = (mine.rss - mine.shared) >> 20
        if self._has_begun():
            self.own_mib = max(self.own_mib, own)
        else:
            self.before_mib = max(self.before_mib, own)
        self._seen[(0, 0.0)] = ("this process", sum(self._me.cpu_times()[:2]) - self._at_start)
        workers = 0
        for process in self._me.children(recursive=True):
            try:
                with process.oneshot():
                    command = " ".join(process.cmdline())
                    if not command:
                        continue  # it has ended, and nobody has asked for its exit code yet
                    kind = _kind(command)
                    if kind == "ray::IDLE":
                        kind = self._seen.get((process.pid, process.create_time()), (kind, 0.0))[0]
                    self._seen[(process.pid, process.create_time())] = (kind, sum(process.cpu_times()[:2]))
                    if kind.startswith("ray::"):
                        workers += process.memory_info().rss - process.memory_info().shared
            except psutil.Error:
                continue
        self.workers_mib = max(self.workers_mib, workers >> 20)


def _kind(command: str) -> str:
    for kind, pattern in _KINDS.items():
        if found := re.search(pattern, command):
            return f"ray::{found[1]}" if kind == "ray::" else found[1].rpartition("/")[2] or kind
    return "others"
