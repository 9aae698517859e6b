"""Which folders a run watches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maclip_daemon.errors import UsageError
from maclip_daemon.settings import Settings


def folders_to_watch(settings: Settings, folders: Sequence[Path]) -> list[Path]:
    """Return the folders of the command line, else those of the settings; raise `UsageError` without any."""
    chosen = list(folders) or list(settings.folders.paths)
    if not chosen:
        raise UsageError("No folder to watch: give one (`maclip run ~/Pictures`) or set folders.paths.")
    return chosen
