"""Two paths of one folder: a symbolic link or a bind mount lets darktable know it under another name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe

TIMEOUT_S = 5.0  # the other folder may lie on a server that is gone
FORGOTTEN_AFTER_S = 600.0  # disks are mounted elsewhere now and then

Identity = tuple[int, int]


class SameFolders:
    """Comparisons of folders, each looked at once in a while."""

    def __init__(self, patience_s: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`patience_s`: how long a folder that does not respond may turn out to be the other one."""
        self._patience_s = patience_s
        self._monotonic = monotonic
        self._probe = FilesystemProbe(TIMEOUT_S)
        self._identities: dict[str, Identity | None] = {}
        self._silent_since: dict[str, float] = {}
        self._since = monotonic()

    def __call__(self, one: str, other: str) -> bool:
        """Return whether both paths lead to one folder; False when one of them has not responded for long.

        Raises `NoAnswer` until then: a disk may only be slow.
        """
        if self._monotonic() - self._since > FORGOTTEN_AFTER_S:
            self._identities.clear()
            self._since = self._monotonic()
        identity = self._identity(one)
        return identity is not None and identity == self._identity(other)

    def _identity(self, folder: str) -> Identity | None:
        if folder not in self._identities:
            try:
                self._identities[folder] = self._probe.call_with_timeout(
                    folder, lambda: _device_and_inode(folder)
                )
                self._silent_since.pop(folder, None)
            except OSError:
                self._identities[folder] = None
            except NoAnswer:
                since = self._silent_since.setdefault(folder, self._monotonic())
                if self._monotonic() - since < self._patience_s:
                    raise
                self._identities[folder] = None
        return self._identities[folder]


def _device_and_inode(folder: str) -> Identity:
    found = os.stat(folder)  # noqa: PTH116 - surrogates
    return found.st_dev, found.st_ino
