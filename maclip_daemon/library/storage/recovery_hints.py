"""Cures for a library that cannot be used: commands that can be typed as printed."""

from __future__ import annotations

import shlex
import time
from pathlib import Path


def maclip_command(library: Path, *words: str) -> str:
    """Return a `maclip` command for the data folder of this library, quoted for a shell."""
    from maclip_daemon.settings import default_data_dir  # slow to load, and only needed when all is lost

    given = [] if library.parent == default_data_dir() else ["--data-dir", str(library.parent)]
    return f"`{shlex.join(['maclip', *given, *words])}`"


def damaged_hint(library: Path) -> str:
    """Return the cure for a library that is damaged, empty or no database at all."""
    begin_anew = f"{maclip_command(library, 'db', 'restore', '--new')} begins a new library"
    newest = newest_backup(library)
    if newest is None:
        ways = (
            f"{begin_anew} (photos are scored again), or"
            f" {maclip_command(library, 'db', 'restore', 'FILE')} restores a backup of yours"
        )
    else:
        back = maclip_command(library, "db", "restore", str(newest))
        ways = f"{back} restores the newest backup, or {begin_anew}"
    return f"Nothing was changed. Stop the daemon; then {ways}. The present file is moved aside, not removed."


def newer_hint(library: Path) -> str:
    """Return the cure for a library of a newer version of the program."""
    newest = newest_backup(library)
    back = (
        f"Or move it aside and begin a new library: {maclip_command(library, 'db', 'restore', '--new')}"
        if newest is None
        else f"Or restore the backup from before: {maclip_command(library, 'db', 'restore', str(newest))}"
    )
    return f"Nothing was changed. Upgrade maclip-daemon. {back}."


def newest_backup(library: Path) -> Path | None:
    """Return the newest of the backups beside the library; one of the future is the last choice."""
    found = [*library.parent.glob("*.backup.db"), *library.parent.glob(f"{library.name}.before-*")]
    made_at = {path: path.stat().st_mtime for path in found}
    return max(found, key=lambda path: (made_at[path] <= time.time(), made_at[path]), default=None)
