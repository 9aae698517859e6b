"""Which file system holds a folder, and whether events can be trusted there."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

from maclip_daemon.files.paths import is_below

# Other machines can change files here, and inotify reports only changes by this kernel.
# fmt: off
_REMOTE = frozenset({
    "9p", "acfs", "afpfs", "afs", "autofs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "fhgfs",
    "gfs", "gfs2", "glusterfs", "gpfs", "hgfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "pfs", "prl_fs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "sshfs", "vboxsf",
    "virtiofs", "vmhgfs", "webdav",
})
# fmt: on

_WITHOUT_INODES = frozenset({"vfat", "msdos", "exfat", "fuseblk"})

MOUNT_TABLE = Path("/proc/self/mountinfo")  # Linux; proc_pid_mountinfo(5)
_OCTAL_ESCAPE = re.compile(rb"\\([0-7]{3})")  # blank, tab, newline and backslash in mountinfo, proc(5)


class Mount(NamedTuple):
    """A mounted file system: where, its type, and what tells it from another one there."""

    point: str
    file_system: str
    identity: bytes = b""
    """The mount's number, its device and the folder of it that is mounted."""


def file_system_of(path: str) -> str:
    """Return the type of the file system that holds the absolute `path`, as the system names it; or ''."""
    best, found = -1, ""
    for mount_point, file_system, _ in _mounts():
        # At equal length the later mount lies on top of the earlier one.
        if is_below(path, mount_point) and len(mount_point) >= best:
            best, found = len(mount_point), file_system
    return found


def is_polled(file_system: str) -> bool:
    """Return whether inotify may miss changes: on network file systems and FUSE, which may hide one.

    `fuseblk` is the exception (ntfs-3g, exfat-fuse): a local disk that only this kernel writes to.
    """
    name = file_system.lower()
    return name in _REMOTE or name == "fuse" or name.startswith("fuse.")


def keeps_inodes(file_system: str) -> bool:
    """Return whether a file keeps its inode number as long as it exists, and has a time of change of its own.

    FAT and exFAT store neither, and FUSE invents numbers when a share is mounted.
    """
    name = file_system.lower()
    return name in ("nfs", "nfs4") or not (name in _WITHOUT_INODES or is_polled(name))


def polled_folders(root: str) -> list[str]:
    """Return the mounts below `root`, or `root` itself, where inotify may miss changes."""
    found = {
        point
        for point, file_system, _ in _mounts()
        if point != root and is_below(point, root) and is_polled(file_system)
    }
    return sorted(found | ({root} if is_polled(file_system_of(root)) else set()))


def mounts_around(roots: Iterable[str]) -> dict[str, list[Mount]]:
    """Return the mounts at, above and below each root, in their order; all of one moment."""
    mounts = _mounts()
    return {
        root: [each for each in mounts if is_below(root, each.point) or is_below(each.point, root)]
        for root in roots
    }


def _mounts() -> list[Mount]:
    if sys.platform != "linux":
        return [  # Windows says NTFS of a share
            Mount(part.mountpoint, "smb" if "remote" in part.opts.split(",") else part.fstype)
            for part in psutil.disk_partitions(all=True)
        ]
    try:
        return parse_mountinfo(MOUNT_TABLE.read_bytes())
    except OSError:  # no /proc in this container
        return []


def parse_mountinfo(content: bytes) -> list[Mount]:
    """Read the mounts from the text of `/proc/self/mountinfo`, in its order.

    Source: proc_pid_mountinfo(5). A line has optional fields of unknown number, ended by ` - `.
    """
    mounts = []
    for line in content.splitlines():
        before, separator, after = line.partition(b" - ")
        fields = before.split(b" ")
        if separator and len(fields) >= 5:
            mount_point = _OCTAL_ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), fields[4])
            identity = b" ".join([fields[0], *fields[2:4]])
            mounts.append(Mount(os.fsdecode(mount_point), os.fsdecode(after.split(b" ")[0]), identity))
    return mounts
