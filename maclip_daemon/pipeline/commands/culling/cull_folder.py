"""The folder that rejected photos leave for: a good default, and folders in which they would be lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from maclip_daemon.errors import NoSpace, UsageError
from maclip_daemon.files.paths import expanded, is_below, relative_to
from maclip_daemon.folders import exclusion
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.file_systems import file_system_of
from maclip_daemon.settings import APPLICATION, Settings

if TYPE_CHECKING:
    from maclip_daemon.library.photos.root_records import KnownRoot

LONGEST = 4000  # characters of a typed path
_OF_THE_SYSTEM = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr", "/var")
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs", "proc", "sysfs", "cgroup2"})


@dataclass(frozen=True)
class WatchedFolders:
    """What the folder is compared with."""

    roots: Sequence[str]
    """Watched folders, and what is excluded from them."""
    excluded: Exclusion
    own: Sequence[str]
    """maclip's own folders: data and cache."""


def watched_folders(roots: Sequence[str], settings: Settings) -> WatchedFolders:
    """Return these roots with what the settings exclude from them, and maclip's own folders."""
    cache = platformdirs.user_cache_dir(APPLICATION, appauthor=False)
    own = [os.path.realpath(each) for each in (settings.data_dir, cache)]
    return WatchedFolders(roots, Exclusion(settings.folders.exclude), own)


def why_absent(roots: Sequence[KnownRoot], path: str) -> str:
    """Return why the watched folder of a path is not there; empty when it is.

    It may be empty: all its photos may have been moved. An empty one of another disk is a mount point.
    """
    for root in roots:
        if is_below(path, root.path):
            try:
                device = Path(root.path).stat().st_dev
                is_there = root.device in (None, device) or any(Path(root.path).iterdir())
            except OSError:
                is_there = False
            if not is_there:
                return f"The folder {root.path} is gone. Connect its disk or mount it, then bring back again."
    return ""


def default_for(roots: Sequence[str], photo: str) -> str:
    """Return a folder beside the watched folder of a photo; in the home folder where that is another disk."""
    around = [each for each in roots if is_below(photo, each)]
    root = Path(max(around, key=len)) if around else Path(photo).parent
    name = f"{root.name or 'Photos'} rejected"
    beside = root.parent / name
    if not (os.access(root.parent, os.W_OK | os.X_OK) and is_same_disk(root, beside)):
        beside = Path.home() / name
    try:
        return str(beside).encode("utf-8").decode("utf-8")
    except UnicodeEncodeError:  # a page cannot show it
        return str(Path.home() / "Photos rejected")


def require_fit(typed: str, watched: WatchedFolders) -> Path:
    """Return the folder that a person typed, resolved. Raises `UsageError` with what is wrong with it."""
    if not typed.strip() or len(typed) > LONGEST or "\0" in typed:
        raise UsageError("Type the folder to move the photos to.")
    path = expanded(typed.strip())
    if not path.is_absolute():
        raise UsageError(f"Type the whole path of the folder, such as ~/{path}.")
    folder = Path(os.path.realpath(path))
    if reason := _oddity(str(folder), watched):
        raise UsageError(f"{folder} {reason} Choose another folder.")
    if folder.exists():
        if not folder.is_dir():
            raise UsageError(f"{folder} is a file. Choose another folder.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"You may not write into {folder}. Choose another folder.")
    elif not folder.parent.is_dir():
        raise UsageError(f"{folder.parent} is not there. Connect its drive, or make that folder first.")
    elif not os.access(folder.parent, os.W_OK | os.X_OK):
        raise UsageError(f"You may not make a folder in {folder.parent}. Choose another one.")
    return folder


def require_space(folder: Path, files: Sequence[Path]) -> None:
    """Raise `NoSpace` where files come from another disk and are too large for that of the folder."""
    if all(is_same_disk(each, folder) for each in {file.parent for file in files}):
        return
    sizes = sum(file.stat().st_size for file in files if file.exists())
    free = shutil.disk_usage(_existing(folder)).free
    if free < sizes:
        raise NoSpace(
            f"The disk of {folder} has {free / 1e9:.1f} GB free, and the photos need {sizes / 1e9:.1f} GB."
        )


def is_same_disk(path: Path, folder: Path) -> bool:
    """Return whether a file can be renamed from one to the other, as far as is known."""
    try:
        return _existing(path).stat().st_dev == _existing(folder).stat().st_dev
    except OSError:
        return False


def _oddity(folder: str, watched: WatchedFolders) -> str:
    """Return what is wrong with a folder, as the end of a sentence; empty when nothing is."""
    home = os.path.realpath(Path.home())
    names = Path(folder).parts
    if folder in ("/", home, *watched.roots):
        return "holds other things, among which the photos would be lost."
    if any(is_below(folder, each) for each in watched.own):
        return "belongs to maclip itself."
    if any(is_below(folder, each) for each in _OF_THE_SYSTEM) or file_system_of(folder) in _IN_MEMORY:
        return "belongs to the system."
    scratch = os.path.realpath(tempfile.gettempdir())
    if is_below(folder, scratch) and not is_below(home, scratch):
        return "is emptied by the system from time to time."
    if any(part.startswith(".") for part in names):
        return "is hidden: you would not find the photos again."
    is_foreign = any(part.casefold() in exclusion.FOREIGN_FOLDERS for part in names)
    if is_foreign or exclusion.library_around(folder):
        return "belongs to another program, which may delete what it does not know."
    for root in watched.roots:
        inside = relative_to(root, folder)
        if is_below(folder, root) and not watched.excluded.excludes_path(inside, is_folder=True):
            return f"is inside the watched folder {root}, where maclip would find the photos again."
    return ""


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
