"""Watched folders as wholes: do they exist, are they still what they were?"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, NoAnswer, RootOffline, UsageError
from maclip_daemon.files.paths import expanded, is_below, relative_to
from maclip_daemon.folders import readability
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.file_systems import file_system_of, is_polled
from maclip_daemon.folders.filesystem_probe import FilesystemProbe, ask_server

_ALWAYS_EXCLUDED = Exclusion()
_MOST_LINKS = 40  # in one path, as the kernel has it


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
    SILENT = "silent"


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

    Raises `UsageError` for a file, `RootOffline` when nothing is there, `EnvironmentUnfit` without
    permission.
    """
    try:
        # pathlib's own way fails for a folder named ~x
        resolved = expanded(path).resolve(strict=True)
        mode = resolved.stat().st_mode
    except FileNotFoundError:
        raise RootOffline(
            f"The folder {path} does not exist. Check its spelling, or connect the disk it is on."
        ) from None
    except NotADirectoryError:
        raise UsageError(
            f"{path} is not a folder: a part of it is a file. Give the folder that holds the photos."
        ) from None
    except PermissionError:
        raise _no_permission(path) from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, or no such user after ~
        raise RootOffline(f"The folder {path} cannot be reached: {error}.") from None
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a file, not a folder. Give the folder that holds it.")
    if not os.access(resolved, os.R_OK | os.X_OK):
        raise _no_permission(path)
    return Root(os.fspath(resolved))


def resolved_as_far_as_it_answers(path: str, probe: FilesystemProbe) -> str:
    """Resolve the links in an absolute path up to where no server answers; the rest stays as it is."""
    done, rest = Path(Path(path).anchor), list(Path(path).parts[1:])
    links = 0
    while rest and links < _MOST_LINKS:
        part = rest.pop(0)
        here = done.parent if part == os.pardir else done / part
        try:
            target = probe.call_with_timeout(str(here), here.readlink)
        except NoAnswer:
            return str(here.joinpath(*rest))
        except OSError:  # no link
            done = here
            continue
        links += 1
        rest = [*target.parts, *rest]
        if target.is_absolute():
            done, rest = Path(target.anchor), rest[1:]
    return str(done.joinpath(*rest))


def merge(roots: Sequence[Root], exclusion: Exclusion) -> list[Root]:
    """Leave out roots that lie inside another one and are walked with it.

    A root inside another one's excluded folder (`~/Pictures/.private`, given by name) stays a root.
    """
    kept: list[Root] = []
    for root in sorted(set(roots), key=lambda root: len(root.path)):
        if not any(_is_walked_with(root.path, outer.path, exclusion) for outer in kept):
            kept.append(root)
    return sorted(kept, key=lambda root: root.path)


def check(
    root: Root,
    previous: RootFacts | None,
    known_photos: int,
    sample: Sequence[str] = (),
    *,
    read_sample: bool = False,
) -> RootHealth:
    """Look whether the root is what it was.

    `known_photos`: how many photos of it the library knows, missing ones included. `sample`: a few of their
    paths; when at least half are there, another device id is no cause for alarm (a disk that was plugged in
    again, a restart). `read_sample`: also read them, because reading failed lately; a disk may list what it
    cannot read. Immich, PhotoPrism and watchdog's poller all took an unmounted root for mass deletion.
    """
    file_system = file_system_of(root.path)

    def health(state: RootState, reason: str, facts: RootFacts | None = None) -> RootHealth:
        return RootHealth(state, reason, facts, file_system, is_polled(file_system))

    try:
        ask_server(root.path)
        facts = Path(root.path).stat()
        is_empty = stat.S_ISDIR(facts.st_mode) and _is_empty(root.path)
    except (FileNotFoundError, NotADirectoryError):
        return health(
            RootState.GONE,
            f"The folder {root.path} is gone. Connect its disk or mount it; nothing is forgotten meanwhile.",
        )
    except OSError as error:  # no permission; ESTALE, EIO, ENOTCONN of a lost server
        return health(
            RootState.UNREADABLE,
            f"The folder {root.path} cannot be read ({error.strerror}). "
            "Check its permissions or the connection.",
        )
    if not stat.S_ISDIR(facts.st_mode):
        return health(RootState.GONE, f"{root.path} is no longer a folder. Put the folder back.")
    if is_empty and known_photos > 0:
        return health(
            RootState.EMPTIED,
            f"The folder {root.path} is empty, but {known_photos} photos of it are known. "
            "Mount its disk; if you removed them, `maclip purge` forgets them.",
        )
    is_other_device = previous is not None and previous.device != facts.st_dev
    if is_other_device and known_photos > 0 and not _mostly_there(sample):
        return health(
            RootState.REPLACED,
            f"The folder {root.path} is on another disk than before, and its photos are not there. Mount the "
            "right disk; if this one replaces it for good, `maclip purge` forgets the missing photos.",
        )
    if read_sample and (trouble := readability.lost_because(sample)):
        return health(
            RootState.UNREADABLE,
            f"The files in {root.path} cannot be read ({trouble}). Check the disk or the connection; "
            "nothing is forgotten meanwhile.",
        )
    return health(RootState.HEALTHY, "", RootFacts(facts.st_dev))


def glance(root: Root) -> tuple[int, bool]:
    """Give the device that the root is on, and whether anything is in it, as its server says now.

    Raises `OSError` when it cannot be read.
    """
    ask_server(root.path)
    with os.scandir(root.path) as entries:
        holds_anything = next(entries, None) is not None
    return Path(root.path).stat().st_dev, holds_anything


def silent(root: Root, reason: str) -> RootHealth:
    """The health of a root whose server does not answer; asks no file system."""
    return RootHealth(RootState.SILENT, reason, None, file_system_of(root.path), is_polled=True)


def _no_permission(path: Path) -> EnvironmentUnfit:
    return EnvironmentUnfit(
        f"There is no permission to read the folder {path}. Grant it to this user, or start as its owner."
    )


def _is_walked_with(path: str, outer: str, exclusion: Exclusion) -> bool:
    if path == outer:
        return True
    return is_below(path, outer) and not exclusion.excludes_path(relative_to(outer, path), is_folder=True)


def _is_empty(folder: str) -> bool:
    # An unmounted disk's mount point may hold `lost+found` or hidden files of a desktop.
    with os.scandir(folder) as entries:
        return all(_ALWAYS_EXCLUDED.excludes_folder(entry.name) for entry in entries)


def _mostly_there(sample: Sequence[str]) -> bool:
    return bool(sample) and 2 * sum(os.path.lexists(path) for path in sample) >= len(sample)
