"""The parent's side of a child whose sandbox opens only the folders that its requests need."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maclip_daemon.errors import ChildDied, ChildTimedOut, OutsideSandbox, Transient
from maclip_daemon.processes.child import Child, Header, Reply

_MANY_FOLDERS = 8  # of more, a tree is allowed: each further one would cost another start
_ANSWERS_WITHIN_S = 2.0  # a folder that does not is left out: opening it would hang the child's start


class SandboxedChild:
    """A `Child` that gets the folders it may open in its configuration, as `folders`.

    A sandbox cannot be widened: for a folder that was not foreseen the child is started again. Not
    thread-safe.
    """

    def __init__(
        self,
        module: str,
        configuration: Mapping[str, Any],
        roots: Sequence[Path] = (),
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`roots`: a folder below one of these opens the whole root. `environment`: as for `Child`."""
        self._module = module
        self._configuration = configuration
        self._roots = [os.path.abspath(root) for root in roots]
        self._environment = environment
        self._allowed: set[str] = set()
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None while no process runs."""
        return self._child.pid if self._child else None

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self._child is not None and self._child.running

    def request(
        self, header: Header, payload: bytes | memoryview = b"", *, folders: Iterable[Path], timeout_s: float
    ) -> Reply:
        """Send one request, which needs these folders, and wait for its reply; raises as `Child.request`."""
        needed = {self._root_of(folder) for folder in folders}
        if not self.running:
            self._renew(needed)
        assert self._child is not None
        try:
            try:
                return self._child.request(header, payload, timeout_s=timeout_s)
            except OutsideSandbox:
                self._renew(_merged(self._allowed | needed))
            try:
                return self._child.request(header, payload, timeout_s=timeout_s)
            except OutsideSandbox:  # the file system permits it in one way and refuses it in another
                raise Transient("its folder cannot be opened. Check its permissions.") from None
        except (ChildDied, ChildTimedOut):
            self._allowed = set()  # one of these folders may hang
            raise

    def close(self) -> None:
        """Close the child's input so that it ends."""
        if self._child is not None:
            self._child.close()

    def kill(self) -> None:
        """Kill the child."""
        if self._child is not None:
            self._child.kill()

    def _renew(self, folders: set[str]) -> None:
        self.close()  # also of a dead one: a thread waits to write into its pipe
        self._allowed = {folder for folder in folders if _answers(folder)}
        configuration = {**self._configuration, "folders": sorted(self._allowed)}
        self._child = Child(self._module, configuration, environment=self._environment)

    def _root_of(self, folder: Path) -> str:
        path = os.path.abspath(folder)
        return next((root for root in self._roots if Path(path).is_relative_to(root)), path)


def _merged(folders: set[str]) -> set[str]:
    """Return the folder above many folders, unless keys and settings of the user lie below it too."""
    if len(folders) <= _MANY_FOLDERS:
        return folders
    common = os.path.commonpath(folders)
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - may be unset
    return folders if os.path.commonpath((common, home)) == common else {common}


def _answers(folder: str) -> bool:
    """Return whether a file system answers; a thread that hangs in a lost share is left behind."""
    thread = threading.Thread(target=_look, args=(folder,), name=f"asks {folder}", daemon=True)
    thread.start()
    thread.join(_ANSWERS_WITHIN_S)
    return not thread.is_alive()


def _look(folder: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.stat(folder)  # noqa: PTH116 - a string of any bytes
