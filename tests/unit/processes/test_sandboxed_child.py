"""Which folders a child may open."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import psutil
import pytest

from maclip_daemon.processes import sandbox
from maclip_daemon.processes.sandboxed_child import SandboxedChild
from tests.homes import until

MODULE = """
import os
from maclip_daemon.processes import child_server, sandbox

configuration = child_server.configuration()

def handle(header, payload):
    sandbox.require_reach(header["folder"])
    return {"folders": configuration["folders"], "process": os.getpid()}, b""

sandbox.enter(dict.fromkeys(configuration["folders"], 12))
child_server.serve(handle)
"""

pytestmark = pytest.mark.skipif(bool(sandbox.missing()), reason="this machine has no whole sandbox")


def test_a_tree_of_many_folders_is_allowed_as_a_whole_but_never_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_child.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", str(home))
    for tree, starts in ((tmp_path / "photos", 9), (home, 12)):
        child = SandboxedChild("a_child", {})
        processes = set()
        for number in range(12):
            folder = tree / str(number)
            folder.mkdir(parents=True)
            reply = child.request({"folder": str(folder)}, folders=[folder], timeout_s=30)
            processes.add(reply.header["process"])
        child.close()
        assert len(processes) == starts
        assert (reply.header["folders"] == [str(tree)]) == (tree != home)


def test_the_whole_root_of_a_folder_is_allowed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_child.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    root = tmp_path / "photos"
    child = SandboxedChild("a_child", {}, [root])
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        reply = child.request({"folder": str(root / name)}, folders=[root / name], timeout_s=30)
        assert reply.header["folders"] == [str(root)]
    child.close()


def test_a_process_that_was_killed_while_it_waited_leaves_no_thread_and_no_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_child.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[3]}")
    child = SandboxedChild("a_child", {})
    used = set()
    for _ in range(3):
        reply = child.request({"folder": str(tmp_path)}, folders=[tmp_path], timeout_s=30)
        until(lambda: len(threads_of_the_child()) == 3, "the threads of the one before have ended")
        used.add((psutil.Process().num_fds(), len(threads_of_the_child())))
        os.kill(reply.header["process"], signal.SIGKILL)
        until(lambda: not child.running, "it is dead")
    child.close()
    assert len(used) == 1


def threads_of_the_child() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("a_child")]
