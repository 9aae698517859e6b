"""Network folders that may not answer: a server that is away makes whoever asks wait for it.

A local disk is asked directly. Behind a network file system (or FUSE) each question is asked in a thread
of its own; when no answer comes in time the asker goes on without it, and that folder is not asked again
before the thread came back.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from maclip_daemon.errors import NoAnswer
from maclip_daemon.files.paths import is_below
from maclip_daemon.folders.file_systems import polled_folders

ANSWER_S = 60.0  # a sleeping disk in a server wakes in a quarter of that
_STEP_S = 0.5  # in which a stop is noticed

Answer = TypeVar("Answer")


class FilesystemProbe:
    """How long the file systems of the watched folders may take to answer. Thread-safe."""

    def __init__(self, seconds: float = ANSWER_S, stopping: threading.Event | None = None) -> None:
        """`seconds`: for each question. `stopping`: when set, nobody waits any more."""
        self._seconds = seconds
        self._stopping = stopping or threading.Event()
        self._remote: set[str] = set()
        self._late: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    @property
    def has_remote(self) -> bool:
        """Whether any folder that was looked at is on a network file system."""
        return bool(self._remote)

    def look_at(self, root: str) -> None:
        """Take note of what file systems a root and all below it are on by now; asks none of them."""
        remote = polled_folders(root)
        with self._lock:
            self._remote = {folder for folder in self._remote if not is_below(folder, root)}
            self._remote.update(remote)

    def ask(self, path: str, question: Callable[[], Answer]) -> Answer:
        """Ask the file system that holds `path`: give what `question` gives, or raise what it raises.

        Raises `NoAnswer` when it owes an answer for longer than it may take, and while the run stops.
        `question` must not touch the library: it may end long after everybody has gone on.
        """
        with self._lock:
            around = [folder for folder in self._remote if is_below(path, folder)]
        return self.call_with_timeout(max(around, key=len), question) if around else question()

    def ask_or(self, path: str, question: Callable[[], Answer], otherwise: Answer) -> Answer:
        """`ask`, and give `otherwise` where nobody answers."""
        try:
            return self.ask(path, question)
        except NoAnswer:
            return otherwise

    def ask_server(self, path: str) -> None:
        """Ask the server itself of the file at `path`, if it has one. Raises `NoAnswer`."""
        self.ask(path, lambda: ask_server(os.path.split(path)[0]))

    def ask_below(self, root: str, question: Callable[[], Answer]) -> Answer:
        """`ask`, where the question may concern whatever lies below `root`."""
        with self._lock:
            is_remote = any(is_below(root, folder) or is_below(folder, root) for folder in self._remote)
        return self.call_with_timeout(root, question) if is_remote else question()

    def call_with_timeout(self, folder: str, question: Callable[[], Answer]) -> Answer:
        """`ask`, for a `folder` of which it is not known what file system it is on."""
        if self._is_hung(folder):
            raise _no_answer(folder)
        future: concurrent.futures.Future[Answer] = concurrent.futures.Future()
        thread = threading.Thread(target=_answer, args=(future, question), name=f"asks {folder}", daemon=True)
        thread.start()
        deadline = time.monotonic() + self._seconds
        while not future.done():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stopping.is_set():
                with self._lock:
                    self._late[folder] = thread
                raise _no_answer(folder)
            concurrent.futures.wait([future], min(left_s, _STEP_S))
        return future.result()

    def each(self, root: str, items: Iterator[Answer]) -> Iterator[Answer]:
        """Give all of `items`, each of which asks what lies below `root`. Raises `NoAnswer`."""
        while following := self.ask_below(root, lambda: list(islice(items, 1))):
            yield from following

    def _is_hung(self, folder: str) -> bool:
        with self._lock:
            thread = self._late.get(folder)
            if thread is not None and not thread.is_alive():
                del self._late[folder]
                thread = None
        return thread is not None


def ask_server(folder: str) -> None:
    """Ask what only the server knows, not the kernel: the free space of the file system.

    Folders and their entries are remembered for up to a minute (nfs(5), acdirmax). What is wrong, later
    questions tell.
    """
    if hasattr(os, "statvfs"):
        with contextlib.suppress(OSError):
            os.statvfs(folder)


def _no_answer(folder: str) -> NoAnswer:
    return NoAnswer(
        f"The folder {folder} does not answer. Check the connection to its server; nothing is forgotten "
        "meanwhile. If it is only slow, raise folders.answer_s."
    )


def _answer(future: concurrent.futures.Future[Answer], question: Callable[[], Answer]) -> None:
    try:
        future.set_result(question())
    except BaseException as error:  # noqa: BLE001 - whatever it is, the asker gets it
        future.set_exception(error)
