"""The health of a watched folder: is it there, is it the same disk as before, can its files be read?"""

from __future__ import annotations

import enum
import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, NoAnswer, RootOffline, UsageError
from maclip_daemon.files.os_errors import DEVICE_LOST
from maclip_daemon.files.paths import expanded, is_below, relative_to
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.file_systems import file_system_of, is_polled
from maclip_daemon.folders.filesystem_probe import FilesystemProbe, ping_server

_ALWAYS_EXCLUDED = Exclusion()
_MOST_LINKS = 40  # in one path, as the kernel has it
_PROBED_BYTES = 4096  # of each file; one block
_FAILURES = 3  # in a row are enough: a dying disk takes half a minute for each
_READ_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


@dataclass(frozen=True)
class Root:
    """A folder that is watched: absolute, links resolved."""

    path: str


@dataclass(frozen=True)
class RootFacts:
    """What identifies a healthy root; the next check compares with it."""

    device: int
    """`st_dev` of the root folder."""


class RootState(enum.StrEnum):
    """The state of a root; its photos are worked on only when it is healthy."""

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
    """Resolve a folder to watch.

    Raises `UsageError` for a file, `RootOffline` for a missing folder, `EnvironmentUnfit` without permission.
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
        raise RootOffline(
            f"The folder {path} cannot be reached: {getattr(error, 'strerror', None) or error}."
        ) from None
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a file, not a folder. Give the folder that holds it.")
    if not os.access(resolved, os.R_OK | os.X_OK):
        raise _no_permission(path)
    return Root(os.fspath(resolved))


def resolve_until_hung(path: str, probe: FilesystemProbe) -> str:
    """Resolve symlinks in an absolute path until a mount stops responding; return the rest as it is."""
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
    """Return the roots without those that a scan of another root covers.

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
    """Return the health of a root, compared with its `previous` facts.

    `known_photos`: the library's count of its photos, missing ones included. `sample`: a few of their paths;
    when at least half exist, another device id is harmless (a disk plugged in again, a restart).
    `read_sample`: read them too, after a read failed; a disk may list what it cannot read. Immich, PhotoPrism
    and watchdog's poller all took an unmounted root for mass deletion.
    """
    file_system = file_system_of(root.path)

    def health(state: RootState, reason: str, facts: RootFacts | None = None) -> RootHealth:
        return RootHealth(state, reason, facts, file_system, is_polled(file_system))

    try:
        ping_server(root.path)
        facts = Path(root.path).stat()
        has_nothing = stat.S_ISDIR(facts.st_mode) and is_empty(root.path)
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
    if has_nothing and known_photos > 0:
        return health(
            RootState.EMPTIED,
            f"The folder {root.path} is empty, but maclip knows {known_photos} "
            f"photo{'s' * (known_photos != 1)} in it. "
            "Mount its disk; if you removed them, `maclip purge` forgets them.",
        )
    is_other_device = previous is not None and previous.device != facts.st_dev
    if is_other_device and known_photos > 0 and not _mostly_there(sample):
        return health(
            RootState.REPLACED,
            f"The folder {root.path} is on another disk than before, and its photos are not there. Mount the "
            "right disk; if this one replaces it for good, `maclip purge` forgets the missing photos.",
        )
    if read_sample and (trouble := read_failure(sample)):
        return health(
            RootState.UNREADABLE,
            f"The files in {root.path} cannot be read ({trouble}). Check the disk or the connection; "
            "nothing is forgotten meanwhile.",
        )
    return health(RootState.HEALTHY, "", RootFacts(facts.st_dev))


def quick_check(root: Root) -> tuple[int, bool]:
    """Return the root's device, and whether the folder holds anything, as its server has it now.

    Raises `OSError` when it cannot be read.
    """
    ping_server(root.path)
    with os.scandir(root.path) as entries:
        holds_anything = next(entries, None) is not None
    return Path(root.path).stat().st_dev, holds_anything


def unresponsive(root: Root, reason: str) -> RootHealth:
    """Return the health of a root whose server does not answer; calls no file system."""
    return RootHealth(RootState.SILENT, reason, None, file_system_of(root.path), is_polled=True)


def read_failure(files: Iterable[str]) -> str:
    """Return why the disk of these files cannot be read, in the system's words.

    Empty when one of them can be read, or when each failure concerns its file alone.
    """
    reason, failures = "", 0
    for path in files:
        try:
            _read_uncached(path)
        except OSError as error:
            if error.errno in DEVICE_LOST:
                reason, failures = error.strerror or str(error), failures + 1
            if failures == _FAILURES:
                break
        else:
            return ""
    return reason


def _read_uncached(path: str) -> None:
    descriptor = os.open(path, _READ_FLAGS)
    try:
        if hasattr(os, "posix_fadvise"):  # cached content would hide that the disk is gone
            # Of the whole file: Linux keeps pages that lie in one piece where only a part of it is named.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.read(descriptor, _PROBED_BYTES)
    finally:
        os.close(descriptor)


def _no_permission(path: Path) -> EnvironmentUnfit:
    return EnvironmentUnfit(
        f"There is no permission to read the folder {path}. Grant it to this user, or start as its owner."
    )


def _is_walked_with(path: str, outer: str, exclusion: Exclusion) -> bool:
    if path == outer:
        return True
    return is_below(path, outer) and not exclusion.excludes_path(relative_to(outer, path), is_folder=True)


def is_empty(folder: str) -> bool:
    """Return whether a folder holds nothing of a person's. Raises `OSError`."""
    # An unmounted disk's mount point may hold `lost+found` or hidden files of a desktop.
    with os.scandir(folder) as entries:
        return all(_ALWAYS_EXCLUDED.excludes_folder(entry.name) for entry in entries)


def _mostly_there(sample: Sequence[str]) -> bool:
    return bool(sample) and 2 * sum(os.path.lexists(path) for path in sample) >= len(sample)
