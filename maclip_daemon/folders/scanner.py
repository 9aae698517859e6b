"""Scans: walks over the folders and photo files of a root.

Symbolic links are not followed, neither to folders nor to files; sockets, FIFOs and devices are never
opened. Other file systems mounted inside the root are entered; when one is unmounted its folder is simply
empty, so its photos go missing and come back with it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from maclip_daemon.files import temporaries
from maclip_daemon.files.paths import relative_to
from maclip_daemon.folders.exclusion import Exclusion, library_program
from maclip_daemon.folders.passed_over import PassedOver

PART_FILES = 256  # photos in one listing, however many the folder has: little memory, soon an answer
PROBLEMS_NAMED = 3  # of one folder
PART_ENTRIES = 8192  # of any kind, for the same reason


class FoundFile(NamedTuple):
    """A regular file as a scan saw it; a named tuple, because there are hundreds of thousands."""

    path: str
    size: int
    """Bytes."""
    mtime_ns: int
    inode: int
    device: int
    ctime_ns: int
    """Last change of the inode by the file system's own clock; copying tools cannot set it."""

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return os.path.basename(self.path)  # noqa: PTH119 - surrogates and speed


class FolderListing(NamedTuple):
    """What one folder holds, or one part of it."""

    folder: str
    files: list[FoundFile]
    """At most `PART_FILES` photos."""
    subfolders: int
    """How many folders below it will be walked (0 in all but the last part)."""
    is_complete: bool
    """True on the last part of a folder: every photo in it has now been listed."""
    problem: str
    """Why files may be lacking although they exist ('' when none are). Never mark photos of such a folder, or
    of any folder below it, as missing."""
    passed_over: PassedOver | None = None
    """What lies in the folder and is left out; on its last part, None when nothing is."""
    has_strays: bool = False
    """Whether an interrupted write may have left an edit aside or a temporary file (`temporaries`)."""


def scan(
    root: str,
    exclusion: Exclusion,
    is_photo: Callable[[str], bool],
    start: str | None = None,
    other_kind: Callable[[str], str | None] | None = None,
) -> Iterator[FolderListing]:
    """Walk `root`, or only the folder `start` inside it, and yield each folder's photos, depth first.

    `is_photo` judges the file name; `other_kind` names the kind of a picture that is only counted. A folder
    that vanishes during the walk is passed over; a folder that cannot be read is yielded with its `problem`;
    the first folder is yielded in either case.
    """
    first = start or root
    pending = [first]
    while pending:
        folder = pending.pop()
        prefix = _relative_prefix(root, folder)
        files: list[FoundFile] = []
        subfolders: list[str] = []
        problems: list[str] = []
        passed_over = PassedOver()
        has_strays = False
        try:
            with os.scandir(folder) as entries:
                for number, entry in enumerate(entries, start=1):
                    # The type comes with the entry; only photos cost a system call.
                    if entry.is_dir(follow_symlinks=False):
                        if not exclusion.excludes_folder(prefix + entry.name):
                            subfolders.append(entry.path)
                        elif library_program(entry.name) is not None:
                            passed_over.libraries.append(entry.path)
                    elif is_photo(entry.name) and not exclusion.excludes_file(prefix + entry.name):
                        try:
                            file = _regular(entry.path, entry.stat(follow_symlinks=False))
                        except FileNotFoundError:
                            continue
                        except OSError as error:
                            problems.append(f"{entry.path}: {error.strerror}")
                            continue
                        if file is not None:
                            files.append(file)
                    elif entry.name.startswith(".maclip-"):
                        is_stray = temporaries.is_aside(entry.name) or temporaries.is_temporary(entry.name)
                        has_strays = has_strays or is_stray
                    elif (
                        other_kind is not None
                        and (kind := other_kind(entry.name)) is not None
                        and not exclusion.excludes_file(prefix + entry.name)
                    ):
                        passed_over.kinds[kind] += 1
                    if len(files) == PART_FILES or number % PART_ENTRIES == 0:
                        yield FolderListing(folder, files, 0, False, "")
                        files = []
        except FileNotFoundError as error:
            if folder != first:
                continue
            problems.append(f"{folder}: {error.strerror}")
        except OSError as error:
            problems.append(f"{folder}: {error.strerror}")
        found = passed_over if passed_over.kinds or passed_over.libraries else None
        yield FolderListing(folder, files, len(subfolders), True, _joined(problems), found, has_strays)
        pending.extend(sorted(subfolders, reverse=True))


def _joined(problems: list[str]) -> str:
    more = len(problems) - PROBLEMS_NAMED
    return "; ".join(problems[:PROBLEMS_NAMED]) + (f"; and {more} more" if more > 0 else "")


def found_file(path: str) -> FoundFile | None:
    """Return the regular file at `path`; None for a missing one, a link or anything else."""
    try:
        return _regular(path, os.lstat(path))
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return None


def is_folder(path: str) -> bool:
    """Return whether a folder is at `path`; a link to one is none, and is not entered."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def folders_only(root: str, exclusion: Exclusion, start: str | None = None) -> Iterator[str]:
    """Yield every folder that a scan would walk, `start` (default: the root) first; reads no file."""
    pending = [start or root]
    while pending:
        folder = pending.pop()
        yield folder
        pending.extend(subfolders(root, exclusion, folder))


def subfolders(root: str, exclusion: Exclusion, folder: str) -> list[str]:
    """List the folders directly in `folder` that a scan would walk; none when it cannot be read."""
    prefix = _relative_prefix(root, folder)
    try:
        with os.scandir(folder) as entries:
            return [
                entry.path
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not exclusion.excludes_folder(prefix + entry.name)
            ]
    except OSError:
        return []


def _relative_prefix(root: str, folder: str) -> str:
    below = relative_to(root, folder)
    return below + "/" if below else ""


def _regular(path: str, facts: os.stat_result) -> FoundFile | None:
    if not stat.S_ISREG(facts.st_mode):
        return None
    return FoundFile(path, facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev, facts.st_ctime_ns)
