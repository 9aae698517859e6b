"""A real limit of memory around a daemon and its children: MemoryMax=, or a control group of version 1."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.systemd.service import Service

OLD = Path("/sys/fs/cgroup/memory")
KILLED = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


@contextlib.contextmanager
def memory_limit(service: Service, mebibytes: int) -> Iterator[Callable[[], bool]]:
    """Limit the memory; yield whether the kernel has killed a process for it."""
    if "memory" in service.container.run("cat", "/sys/fs/cgroup/cgroup.controllers").split():
        yield from _new(service, mebibytes)
    elif OLD.is_dir():
        yield from _old(service, mebibytes)
    else:
        pytest.skip("no control group here limits memory")


def _new(service: Service, mebibytes: int) -> Iterator[Callable[[], bool]]:
    group = service.property("ControlGroup")
    service.set_property(f"MemoryMax={mebibytes}M", "MemorySwapMax=0")
    try:
        yield lambda: _has_killed(service.container.run("cat", f"/sys/fs/cgroup{group}/memory.events"))
    finally:
        service.set_property("MemoryMax=infinity")


def _old(service: Service, mebibytes: int) -> Iterator[Callable[[], bool]]:
    """Where the machine's memory controller is of version 1, systemd cannot use it in a container."""
    group = OLD / service.container.name
    group.mkdir()
    daemon = psutil.Process(service.container.pid_outside(int(service.property("MainPID"))))
    before = Path(f"/proc/{daemon.pid}/cgroup").read_text("ascii")
    (own,) = re.findall(r"^\d+:memory:(.*)$", before, re.MULTILINE)
    (group / "memory.limit_in_bytes").write_text(str(mebibytes << 20))
    _move(daemon, group)
    try:
        yield lambda: _has_killed((group / "memory.oom_control").read_text("ascii"))
    finally:
        _move(daemon, OLD / own.lstrip("/"))
        with contextlib.suppress(OSError):
            group.rmdir()


def _move(daemon: psutil.Process, group: Path) -> None:
    for process in [daemon, *daemon.children(recursive=True)]:
        with contextlib.suppress(OSError):
            (group / "cgroup.procs").write_text(str(process.pid))


def _has_killed(events: str) -> bool:
    return any(int(count) for count in KILLED.findall(events))
