"""A sandbox for this process: what it may still do once it has loaded its libraries.

It gets no network, starts no program, sends no signal to others, and opens only the files it needs. Where
the kernel or libseccomp lacks one half, the other half still works; `maclip doctor` says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from maclip_daemon.errors import OutsideSandbox
from maclip_daemon.processes import landlock, syscall_filter
from maclip_daemon.processes.landlock import READ, Access

# What libraries read while they work: their own parts, the processors, the time zone.
_SYSTEM = (
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/lib",
    "/lib64",
    "/nix/store",
    "/gnu/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/proc/stat",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
)


def enter(
    allowed: Mapping[str, Access],
    calls: frozenset[str] = frozenset(),
    *,
    code: bool = True,
    may_signal: bool = False,
) -> None:
    """Lock this process in, for good. Call it after the imports, before a stranger's first byte.

    `allowed`: what it may do below each path, besides reading its own code. `calls`: system calls besides
    those of a reader. `may_signal`: as for `landlock.restrict`. Threads that run already are not
    limited in their files; there must be none.
    """
    rules = dict.fromkeys((*_SYSTEM, *(_code() if code else ())), READ)
    rules[os.devnull] = READ | Access.WRITE_FILE
    for path, access in allowed.items():
        rules[path] = rules.get(path, Access(0)) | access
    with contextlib.suppress(OSError):  # this machine has no such lock; `missing` says so
        landlock.restrict(rules, may_signal=may_signal)
    with contextlib.suppress(OSError):
        syscall_filter.load(syscall_filter.READING | calls)


def require_reach(folder: str) -> None:
    """Raise `OutsideSandbox` for a folder that only this sandbox hides.

    It was not allowed, or another disk is mounted there since the start.
    """
    try:
        os.close(os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)))
    except OSError as error:
        if error.errno == errno.EACCES and os.access(folder, os.R_OK):
            raise OutsideSandbox(f"{folder} is outside of the sandbox.") from None


def missing() -> list[str]:
    """Return what this machine lacks for a whole sandbox, each with what to do about it."""
    lacks = []
    if not landlock.version():
        lacks.append(
            "Landlock: add landlock to the kernel's list of security modules (`lsm=` on its command line), "
            "or use Linux 5.13 or newer"
        )
    if not syscall_filter.is_available():
        lacks.append("libseccomp: install the package libseccomp2 (on Fedora and Arch, libseccomp)")
    return lacks


def _code() -> Iterable[str]:
    """Yield the folders of Python's code; never one that also holds this user's files."""
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111 - may be unset
    package = os.fspath(Path(__file__).parents[1])
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, package, *sys.path}
    folders.update(os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
    for folder in filter(None, folders):
        found = os.path.realpath(folder)
        if os.path.commonpath((found, home)) != found:
            yield found
