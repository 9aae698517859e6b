"""Watched folders as wholes: do they exist, on which file system, are they still the same?"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.folders.exclusion import Exclusion


@dataclass(frozen=True)
class Root:
    """A folder that is watched: absolute, links resolved."""

    path: str


@dataclass(frozen=True)
class RootFacts:
    """What a healthy root looked like; the next check compares with it."""

    device: int
    """`st_dev` of the root folder."""


class RootState(enum.StrEnum):
    """Whether a root's photos can be worked on."""

    HEALTHY = "healthy"
    GONE = "gone"
    EMPTIED = "emptied"
    REPLACED = "replaced"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class RootHealth:
    """The result of a check. Only a healthy root may be scanned for missing photos."""

    state: RootState
    reason: str
    """A sentence for `status`: what is wrong and what to do; '' when healthy."""
    facts: RootFacts | None
    """For the next check; None unless healthy."""
    file_system: str
    """Type as the system names it (`ext4`, `nfs4`, `fuse.sshfs`), '' when not known."""
    is_polled: bool
    """True where events are silent and only scans find changes."""


def open_root(path: Path) -> Root:
    """Resolve a folder that was given to watch.

    Raises `UsageError` for a file, `RootOffline` when nothing is there, `EnvironmentUnfit` without permission.
    """
    raise NotImplementedError


def merge(roots: Sequence[Root], exclusion: Exclusion) -> list[Root]:
    """Leave out roots that lie inside another one and are walked with it."""
    raise NotImplementedError


def check(
    root: Root, previous: RootFacts | None, known_photos: int, sample: Sequence[str] = ()
) -> RootHealth:
    """Look whether the root is what it was.

    `known_photos`: how many photos of it the library expects to be there. `sample`: a few of their paths; when at least half are
    there, another device id is no cause for alarm (a disk that was plugged in again, a restart).
    """
    raise NotImplementedError


def file_system_of(path: str) -> str:
    """The type of the file system that holds `path`; '' when not known."""
    raise NotImplementedError


def is_polled(file_system: str) -> bool:
    """Whether inotify is silent there for changes made elsewhere: network and most FUSE file systems."""
    raise NotImplementedError
