"""The parent's side of a child process, against real processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maclip_daemon import errors
from maclip_daemon.processes.child import Child
from tests.homes import until

CHILD = """
import ctypes, os, sys, time
from maclip_daemon import errors
from maclip_daemon.processes import child_server

def handle(header, payload):
    match header["op"]:
        case "echo":
            print("noise between the frames")
            return {"path": header["path"], "name": child_server.configuration()["name"]}, payload
        case "die":
            print("my last words", file=sys.stderr, flush=True)
            os._exit(7)
        case "crash":
            ctypes.string_at(0)
        case "hang":
            while not os.path.exists(header.get("until", "")):
                time.sleep(0.02)
            return {}, b""
        case "poison":
            raise errors.Poison("this photo is broken")
        case "lie":
            return header["lie"], b""
        case "babble":
            os.write(2, b"x" * 50_000_000)
            os._exit(7)
        case "surprise":
            raise RuntimeError("nobody expected this")

child_server.serve(handle)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a_child.py").write_text(CHILD)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    child = Child("a_child", {"name": "decoder"})
    yield child
    child.close()


def test_a_request_is_answered_with_its_bytes_and_any_file_name(child: Child) -> None:
    name = b"caf\xe9 \n.jpg".decode("utf-8", "surrogateescape")
    reply = child.request({"op": "echo", "path": name}, bytes(range(256)) * 1000, timeout_s=20)
    assert reply.header == {"path": name, "name": "decoder"}
    assert reply.payload == bytes(range(256)) * 1000


def test_the_error_names_how_a_child_died_and_the_next_request_starts_a_new_one(child: Child) -> None:
    with pytest.raises(errors.ChildDied, match=r"exit code 7: my last words"):
        child.request({"op": "die"}, timeout_s=20)
    assert child.request({"op": "echo", "path": "a"}, timeout_s=20).header["path"] == "a"


def test_a_crash_in_native_code_ends_only_the_child(child: Child) -> None:
    with pytest.raises(errors.ChildDied, match="signal 11"):
        child.request({"op": "crash"}, timeout_s=20)


def test_a_child_that_hangs_is_ended(child: Child) -> None:
    child.request({"op": "echo", "path": "a"}, timeout_s=20)
    with pytest.raises(errors.ChildTimedOut):
        child.request({"op": "hang"}, timeout_s=0.2)
    assert not child.running


def test_errors_of_the_child_are_raised_by_name(child: Child) -> None:
    with pytest.raises(errors.Poison, match="this photo is broken"):
        child.request({"op": "poison"}, timeout_s=20)
    with pytest.raises(errors.Transient, match="RuntimeError: nobody expected this"):
        child.request({"op": "surprise"}, timeout_s=20)
    assert child.running, sys.executable


def test_any_answer_of_a_compromised_child_becomes_one_of_our_errors(child: Child) -> None:
    for described in (
        5,
        None,
        [],
        {},
        {"kind": "annotations"},
        {"kind": 1, "message": {}},
        {"kind": "__doc__"},
    ):
        with pytest.raises(errors.Transient):
            child.request({"op": "lie", "lie": {"error": described}}, timeout_s=20)
    assert child.running
    for header in (5, [], "error", None):
        with pytest.raises(errors.ChildDied):
            child.request({"op": "lie", "lie": header}, timeout_s=20)
    with pytest.raises(errors.ChildDied) as caught:
        child.request({"op": "babble"}, timeout_s=20)
    assert len(str(caught.value)) < 10_000


@pytest.mark.parametrize("size", [0, 50_000_000], ids=["a few bytes", "more than the pipe holds"])
def test_a_stopped_child_is_replaced_whatever_the_size_of_the_request(child: Child, size: int) -> None:
    child.request({"op": "echo", "path": "a"}, timeout_s=20)
    stopped = child.pid
    assert stopped is not None
    os.kill(stopped, signal.SIGSTOP)
    with pytest.raises(errors.ChildTimedOut):
        child.request({"op": "echo", "path": "a"}, bytes(size), timeout_s=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(stopped, 0)
    assert child.request({"op": "echo", "path": "b"}, bytes(size), timeout_s=60).payload == bytes(size)
    assert child.pid != stopped


def test_ended_children_leave_no_descriptor_and_no_thread(child: Child) -> None:
    def held() -> list[int]:
        return [len(list(Path("/proc/self", kind).iterdir())) for kind in ("fd", "task")]

    before = held()
    for ending in ("die", "close", "kill"):
        child.request({"op": "echo", "path": "a"}, timeout_s=20)
        if ending == "die":
            with pytest.raises(errors.ChildDied):
                child.request({"op": "die"}, timeout_s=20)
        else:
            getattr(child, ending)()
    until(
        lambda: all(now <= then for now, then in zip(held(), before, strict=True)),
        f"no more descriptors and threads than before, {before}",
    )


PARENT = """
import sys
from maclip_daemon.processes.child import Child

child = Child("a_child", {"name": "decoder"})
child.request({"op": "echo", "path": "a"}, timeout_s=60)
print(child.pid, flush=True)
child.request({"op": "hang", "until": sys.argv[1]}, timeout_s=6)
print("answered", flush=True)
"""


def test_the_timeout_does_not_count_while_the_parent_is_suspended(child: Child, tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(answer)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    for process in (parent.pid, worker):
        os.kill(process, signal.SIGSTOP)
    time.sleep(7)  # longer than the time-out
    answer.touch()
    for process in (worker, parent.pid):
        os.kill(process, signal.SIGCONT)
    assert parent.communicate(timeout=60)[0] == "answered\n"
