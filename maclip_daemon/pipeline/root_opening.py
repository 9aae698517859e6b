"""The watched folders at the start: opened for a run, and how long a command waits for their answers."""

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
from maclip_daemon.library.storage.database import Library
from maclip_daemon.settings import Settings

BRIEFLY_S = 5.0  # for a folder to answer at the start; afterwards there is time


def open_all(
    folders: Sequence[Path], settings: Settings, library: Library, probe: FilesystemProbe
) -> list[Root]:
    """Resolve the folders to watch. One that was watched before may be away; a new one must exist."""
    known = {root.path for root in look_at_known(library, probe)}
    opened = [_open_root(folder, known, settings.folders.filesystem_timeout_s) for folder in folders]
    return root_health.merge(opened, Exclusion(settings.folders.exclude))


def look_at_known(library: Library, probe: FilesystemProbe) -> list[KnownRoot]:
    """Let `probe` take note of the file systems of all roots that were watched so far; gives these."""
    with library.reading() as session:
        known = library_roots.known_roots(session)
    for root in known:
        probe.refresh_mounts(root.path)
    return known


def _open_root(folder: Path, known: set[str], filesystem_timeout_s: float) -> Root:
    typed = os.path.abspath(expanded(folder))
    question = functools.partial(root_health.open_root, folder)
    brief = FilesystemProbe(min(BRIEFLY_S, filesystem_timeout_s))
    try:
        return brief.call_with_timeout(typed, question)
    except errors.RootOffline:
        path = os.path.realpath(expanded(folder))
        if path not in known:
            raise
        return Root(path)
    except errors.NoAnswer:
        # Signals, and the service manager, wait for this: only a folder that nobody knows yet gets more time.
        path = root_health.resolve_until_hung(typed, brief)
        if path in known:
            return Root(path)
    try:
        return FilesystemProbe(filesystem_timeout_s).call_with_timeout(typed, question)
    except errors.NoAnswer as error:
        raise errors.RootOffline(str(error)) from None
