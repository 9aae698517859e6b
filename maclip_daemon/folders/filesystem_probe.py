"""Calls to file systems whose server may not respond: each ends in time, and hung folders are left alone.

A local disk is called directly. Calls to a network file system (or FUSE) run in a thread of their own. After
a time-out the caller goes on without it, and the folder is hung until that thread returns.
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

FILESYSTEM_TIMEOUT_S = 60.0  # a sleeping disk in a server wakes in a quarter of that
_STEP_S = 0.5  # in which a stop is noticed

Result = TypeVar("Result")


class FilesystemProbe:
    """Calls to the file systems of the watched folders, each with a time-out. Thread-safe.

    Operations must not use the library: after a time-out they may go on for long.
    """

    def __init__(
        self, timeout_s: float = FILESYSTEM_TIMEOUT_S, stopping: threading.Event | None = None
    ) -> None:
        """Allow each call `timeout_s`; all waiting ends when `stopping` is set."""
        self._timeout_s = timeout_s
        self._stopping = stopping or threading.Event()
        self._remote: set[str] = set()
        self._hung: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    @property
    def has_remote(self) -> bool:
        """Return whether any root lies on a network file system, or holds one."""
        return bool(self._remote)

    def refresh_mounts(self, root: str) -> None:
        """Record which network file systems hold `root` or are mounted below it; calls none of them."""
        remote = polled_folders(root)
        with self._lock:
            self._remote = {folder for folder in self._remote if not is_below(folder, root)}
            self._remote.update(remote)

    def call(self, path: str, operation: Callable[[], Result]) -> Result:
        """Return what `operation` returns on the file system of `path`, or raise what it raises.

        Raises `NoAnswer` after the time-out, for a hung folder, and while the daemon stops.
        """
        with self._lock:
            around = [folder for folder in self._remote if is_below(path, folder)]
        return self.call_with_timeout(max(around, key=len), operation) if around else operation()

    def call_or(self, path: str, operation: Callable[[], Result], default: Result) -> Result:
        """Return the result of `call`, or `default` in place of `NoAnswer`."""
        try:
            return self.call(path, operation)
        except NoAnswer:
            return default

    def call_below(self, root: str, operation: Callable[[], Result]) -> Result:
        """Return what an `operation` on anything below `root` returns; see `call`."""
        with self._lock:
            is_remote = any(is_below(root, folder) or is_below(folder, root) for folder in self._remote)
        return self.call_with_timeout(root, operation) if is_remote else operation()

    def iterate(self, root: str, items: Iterator[Result]) -> Iterator[Result]:
        """Yield `items`, each of which reads below `root`. Raises `NoAnswer`."""
        while following := self.call_below(root, lambda: list(islice(items, 1))):
            yield from following

    def ping(self, path: str) -> None:
        """Raise `NoAnswer` when the server that holds the file at `path` does not respond."""
        self.call(path, lambda: ping_server(os.path.split(path)[0]))

    def call_with_timeout(self, folder: str, operation: Callable[[], Result]) -> Result:
        """Return what `operation` returns for a `folder` on any file system; see `call`."""
        if self._is_hung(folder):
            raise _no_answer(folder)
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        thread = threading.Thread(target=_run, args=(future, operation), name=f"asks {folder}", daemon=True)
        thread.start()
        deadline = time.monotonic() + self._timeout_s
        while not future.done():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stopping.is_set():
                with self._lock:
                    self._hung[folder] = thread
                raise _no_answer(folder)
            concurrent.futures.wait([future], min(left_s, _STEP_S))
        return future.result()

    def hung_folders(self) -> list[str]:
        """Return the folders whose servers have not responded yet."""
        with self._lock:
            return sorted(folder for folder, thread in self._hung.items() if thread.is_alive())

    def _is_hung(self, folder: str) -> bool:
        with self._lock:
            thread = self._hung.get(folder)
        return thread is not None and thread.is_alive()


def ping_server(folder: str) -> None:
    """Ask for the free space of the file system, which the server answers and the kernel's cache does not.

    The kernel caches folders and their entries for up to a minute (nfs(5), acdirmax). Errors are ignored:
    later calls raise them.
    """
    if hasattr(os, "statvfs"):
        with contextlib.suppress(OSError):
            os.statvfs(folder)


def _no_answer(folder: str) -> NoAnswer:
    return NoAnswer(
        f"The folder {folder} does not answer. Check the connection to its server; nothing is forgotten "
        "meanwhile. If it is only slow, raise folders.filesystem_timeout_s."
    )


def _run(future: concurrent.futures.Future[Result], operation: Callable[[], Result]) -> None:
    try:
        future.set_result(operation())
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
        future.set_exception(error)
