"""The parent's side of a child process, against real processes."""

import sys
from pathlib import Path

import pytest

from maclip_daemon import errors
from maclip_daemon.children import Child

CHILD = """
import ctypes, os, sys, time
from maclip_daemon import children, errors

def handle(header, payload):
    match header["op"]:
        case "echo":
            print("noise between the frames")
            return {"path": header["path"], "name": children.configuration()["name"]}, payload
        case "die":
            print("my last words", file=sys.stderr, flush=True)
            os._exit(7)
        case "crash":
            ctypes.string_at(0)
        case "hang":
            time.sleep(60)
        case "poison":
            raise errors.Poison("this photo is broken")
        case "surprise":
            raise RuntimeError("nobody expected this")

children.serve(handle)
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


def test_a_child_that_dies_says_how_and_the_next_request_gets_a_new_one(child: Child) -> None:
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


def test_errors_cross_the_border_by_name(child: Child) -> None:
    with pytest.raises(errors.Poison, match="this photo is broken"):
        child.request({"op": "poison"}, timeout_s=20)
    with pytest.raises(errors.Transient, match="RuntimeError: nobody expected this"):
        child.request({"op": "surprise"}, timeout_s=20)
    assert child.running, sys.executable
