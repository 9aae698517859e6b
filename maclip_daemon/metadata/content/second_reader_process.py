"""A process for the second reader: it may start exiftool, which the metadata process may not.

The metadata process forks it before it is locked in, and asks it through two pipes. It reads photos, and
writes into a folder of its own only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, NoReturn

from maclip_daemon.files.signature import ExactSignature
from maclip_daemon.metadata.content import second_reader
from maclip_daemon.metadata.content.second_reader import Readings, SecondReading
from maclip_daemon.metadata.messages import pack, unpack
from maclip_daemon.processes import landlock, limits, sandbox, syscall_filter
from maclip_daemon.processes.frames import Reply, read_frame, write_frame
from maclip_daemon.processes.landlock import Access

_DIED_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_SCRATCH = landlock.REPLACE | Access.MAKE_DIR | Access.REMOVE_DIR | Access.MAKE_SYM
# What programs in Perl read: their modules, wherever they are installed.
_OF_PERL = ("/usr", "/opt", "/etc/perl", "/dev/zero")


class SecondReaderProcess:
    """The metadata process's side."""

    def __init__(self, folders: Sequence[str], scratch: str) -> None:
        """Fork the process. It may read below `folders`, and write in `scratch`. Only without threads."""
        requests_in, requests_out = os.pipe()
        answers_in, answers_out = os.pipe()
        parent = os.getpid()
        if os.fork() == 0:
            os.close(requests_out)
            os.close(answers_in)
            _serve(parent, os.fdopen(requests_in, "rb"), os.fdopen(answers_out, "wb"), folders, scratch)
        os.close(requests_in)
        os.close(answers_out)
        self._requests = os.fdopen(requests_out, "wb")
        self._answers = os.fdopen(answers_in, "rb")

    def read_many(self, photos: Sequence[Path]) -> Readings:
        """Return what exiftool reads of these photos. Ends this process when its reader has died."""
        answer: Reply | None = None
        try:
            write_frame(self._requests, {"photos": [os.fspath(photo) for photo in photos]})
            answer = read_frame(self._answers)
        except BrokenPipeError:
            pass
        if answer is None:  # a photo killed it; another one comes with the next metadata process
            print("the process that runs exiftool has died", file=sys.stderr, flush=True)
            os._exit(_DIED_EXIT_CODE)
        payload = BytesIO(answer.payload)
        return {
            Path(path): (ExactSignature(*signature), unpack(SecondReading, reading, payload))
            for path, signature, reading in answer.header["readings"]
        }


def _serve(
    parent: int, requests: IO[bytes], answers: IO[bytes], folders: Sequence[str], scratch: str
) -> NoReturn:
    """Answer requests until the metadata process ends."""
    try:
        _become(parent, folders, scratch)
        while (request := read_frame(requests)) is not None:
            readings = second_reader.read_here([Path(photo) for photo in request.header["photos"]])
            parts: list[bytes] = []
            found = [
                [os.fspath(path), signature, pack(reading, parts)]
                for path, (signature, reading) in readings.items()
            ]
            write_frame(answers, {"readings": found}, b"".join(parts))
    finally:
        os._exit(0)


def _become(parent: int, folders: Sequence[str], scratch: str) -> None:
    """Let go of what belongs to the metadata process, and lock this one in."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    tempfile.tempdir = scratch
    limits.limit_memory(second_reader.MEMORY_MIB)
    allowed = dict.fromkeys((*_OF_PERL, *_perl_folders(), *folders), landlock.READ)
    allowed |= dict.fromkeys(_programs(), landlock.READ | Access.EXECUTE)
    sandbox.enter({**allowed, scratch: _SCRATCH}, syscall_filter.READING_BY_A_PROGRAM)


def _perl_folders() -> Iterable[str]:
    """Yield the folders of exiftool's own modules."""
    yield from filter(None, os.environ.get("PERL5LIB", "").split(os.pathsep))
    program = shutil.which(second_reader.PROGRAM)
    if program is not None:
        yield os.path.join(os.path.dirname(os.path.realpath(program)), "lib")  # noqa: PTH120


def _programs() -> Iterable[str]:
    """Yield exiftool, the programs of its first line, and the loader that starts these."""
    program = shutil.which(second_reader.PROGRAM)
    if program is None:
        return
    yield program
    with Path(program).open("rb") as script:
        first = script.readline(256)
    if first.startswith(b"#!"):
        for word in os.fsdecode(first[2:]).split():
            found = shutil.which(word)
            if found is not None:
                yield found
    with Path("/proc/self/maps").open("rb") as maps:
        for line in maps:
            path = os.fsdecode(line.rstrip(b"\n").partition(b"/")[2])
            if path.rpartition("/")[2].startswith(("ld-", "ld.")):
                yield f"/{path}"
    yield from ("/nix/store", "/gnu/store")  # where each program has a loader of its own
