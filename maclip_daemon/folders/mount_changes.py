"""What is mounted, moved and unmounted around the roots: the system reports it, inotify mostly does not.

inotify tells of an unmount only, and of a lazy one when the last file is closed. A mount that is moved away
(`mount --move`) or laid over a folder changes what a path holds without any event.
"""

from __future__ import annotations

import select
from collections.abc import Sequence
from contextlib import suppress

from maclip_daemon.folders.file_systems import MOUNT_TABLE, mounts_around


class MountChanges:
    """Compares the mounts around the roots whenever the table of mounts changes. For one thread."""

    def __init__(self, roots: Sequence[str]) -> None:
        self._poll = select.poll() if hasattr(select, "poll") else None
        self._table = None
        with suppress(OSError):  # not Linux, or no /proc in this container: scans notice it
            self._table = MOUNT_TABLE.open("rb")
            if self._poll is not None:
                self._poll.register(self._table, select.POLLPRI)
        self._mounts = mounts_around(roots)

    def changed_roots(self) -> list[str]:
        """Return the roots around which mounts changed since the last call. Costs one system call.

        Source: proc_pid_mountinfo(5): the file polls as POLLPRI once after each change.
        """
        if self._poll is None or self._table is None or not self._poll.poll(0):
            return []
        before, self._mounts = self._mounts, mounts_around(self._mounts)
        return [root for root, mounts in self._mounts.items() if mounts != before[root]]

    def close(self) -> None:
        """Close the table."""
        if self._table is not None:
            self._table.close()
