"""Watched folders that the library knows: opened for a run, and recognised by a few of their photos."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.files.paths import expanded
from maclip_daemon.folders import root_health
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.root_health import Root
from maclip_daemon.library.photos import root_records as library_roots
from maclip_daemon.library.photos.root_records import KnownRoot
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.library.storage.open_readonly import ReadableLibrary
from maclip_daemon.settings import Settings

START_TIMEOUT_S = 5.0  # for a known folder to respond at the start; later checks wait longer
SAMPLED_PHOTOS = 8  # known photos that must be there when a root has another device number


def open_all(
    folders: Sequence[Path], settings: Settings, library: Library, probe: FilesystemProbe
) -> list[Root]:
    """Return the folders to watch, resolved. Known ones may be offline; new ones must exist.

    Raises `RootOffline` for a new folder that does not respond.
    """
    known = {root.path for root in refresh_mounts(library, probe)}
    opened = [_open_root(folder, known, settings.folders.filesystem_timeout_s) for folder in folders]
    return root_health.merge(opened, Exclusion(settings.folders.exclude))


def refresh_mounts(library: ReadableLibrary, probe: FilesystemProbe) -> list[KnownRoot]:
    """Let `probe` learn the file systems of all roots that were ever watched; return these roots."""
    with library.reading() as session:
        known = library_roots.known_roots(session)
    for root in known:
        probe.refresh_mounts(root.path)
    return known


def paths(library: ReadableLibrary) -> list[Path]:
    """Return the roots that were ever watched: where a command may write ratings."""
    with library.reading() as session:
        return [Path(root.path) for root in library_roots.known_roots(session)]


def sample_photos(session: Session, root: str, device: int | None) -> list[str]:
    """Return a few photos that should be below `root`; missing ones only where all are missing.

    `device`: the root's device number, if known; photos on disks mounted below the root are left out.
    """
    present: list[str] = []
    missing: list[str] = []
    for folder in photo_paths.folders_under(session, root):
        for name, file in photo_paths.known_in_folder(session, folder).items():
            if device is not None and file.state != "missing" and file.device != device:
                continue
            (missing if file.state == "missing" else present).append(os.path.join(folder, name))
        if len(present) >= SAMPLED_PHOTOS:
            break
        del missing[SAMPLED_PHOTOS:]
    return (present or missing)[:SAMPLED_PHOTOS]


def _open_root(folder: Path, known: set[str], filesystem_timeout_s: float) -> Root:
    typed = os.path.abspath(expanded(folder))
    open_folder = functools.partial(root_health.open_root, folder)
    brief = FilesystemProbe(min(START_TIMEOUT_S, filesystem_timeout_s))
    try:
        return brief.call_with_timeout(typed, open_folder)
    except errors.RootOffline:
        path = os.path.realpath(expanded(folder))
        if path not in known:
            raise
        return Root(path)
    except errors.NoAnswer:
        # Signals and the service manager wait for this, so only a folder that is new gets more time.
        path = root_health.resolve_until_hung(typed, brief)
        if path in known:
            return Root(path)
    try:
        return FilesystemProbe(filesystem_timeout_s).call_with_timeout(typed, open_folder)
    except errors.NoAnswer as error:
        raise errors.RootOffline(str(error)) from None
