"""Priorities are lowered for a whole process and its children, and never raised."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from maclip_daemon.processes import priority

if sys.platform != "linux":
    pytest.skip("priorities are read back as Linux keeps them", allow_module_level=True)

# A process that lowers its priority, starts a thread and a child, and prints their ids.
STEPPING_BACK = """
import subprocess, sys, threading
from maclip_daemon.processes import priority
priority.lower_priority(int(sys.argv[1]), sys.argv[2])
ready = threading.Event()
thread = threading.Thread(target=lambda: (ready.set(), sys.stdin.read()), daemon=True)
thread.start()
ready.wait()
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True)
priority.apply_to_session(child.pid)
print(thread.native_id, child.pid, flush=True)
thread.join()
"""


NONE, BEST_EFFORT, IDLE = (
    int(each) for each in (psutil.IOPRIO_CLASS_NONE, psutil.IOPRIO_CLASS_BE, psutil.IOPRIO_CLASS_IDLE)
)


def priorities(pid: int) -> tuple[int, int, int]:
    process = psutil.Process(pid)
    return process.nice(), *map(int, process.ionice())


def stepped_back(nice: int, disk: str, *below: str) -> list[tuple[int, int, int]]:
    """Return the priorities of the process, its thread and its child."""
    command = [*below, sys.executable, "-c", STEPPING_BACK, str(nice), disk]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        thread, child = map(int, process.stdout.readline().split())
        found = [priorities(pid) for pid in (process.pid, thread, child)]
        group = Path(f"/proc/{child}/autogroup")
        if group.exists():
            assert group.read_text().split("nice")[1].strip() == str(found[2][0])
        process.communicate("")
    return found


@pytest.mark.parametrize(
    ("disk", "expected"), [("normal", (NONE, 0)), ("low", (BEST_EFFORT, 7)), ("idle", (IDLE, 0))]
)
def test_threads_and_children_have_the_lower_priority_too(disk: str, expected: tuple[int, int]) -> None:
    own = psutil.Process().nice()
    assert stepped_back(own + 3, disk) == [(own + 3, *expected)] * 3


def test_a_lower_priority_is_never_raised() -> None:
    own = psutil.Process().nice()
    found = stepped_back(own + 1, "low", "ionice", "-c3", "nice", "-n", "2")
    assert [(nice, disk) for nice, disk, _ in found] == [(own + 2, IDLE)] * 3


def test_an_ended_child_is_no_error() -> None:
    from maclip_daemon.processes import priority

    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    priority.apply_to_session(child.pid)


def test_a_session_is_asked_for_again_where_the_kernel_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without privileges it takes ten changes a second; sixteen decoders start together."""
    answers = iter([BlockingIOError(), BlockingIOError(), None])
    asked: list[str] = []
    done = threading.Event()

    def write_text(path: Path, text: str, encoding: str) -> None:
        asked.append(str(path))
        if (answer := next(answers)) is not None:
            raise answer
        done.set()

    monkeypatch.setattr(priority.os, "getpriority", lambda *_: 10)
    monkeypatch.setattr(priority.Path, "write_text", write_text)
    priority.apply_to_session(4711)
    assert done.wait(60)
    assert asked == ["/proc/4711/autogroup"] * 3
