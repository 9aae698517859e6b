"""The way out for a person whose library cannot be used: commands that can be typed as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path


def command(library: Path, *words: str) -> str:
    """Give a `maclip` command for the data folder of this library, quoted for a shell."""
    from maclip_daemon.settings import default_data_dir  # slow to load, and only needed when all is lost

    given = [] if library.parent == default_data_dir() else ["--data-dir", str(library.parent)]
    return f"`{shlex.join(['maclip', *given, *words])}`"


def for_damaged(library: Path) -> str:
    """Say how to go on with a library that is damaged, empty or not one at all."""
    begin_anew = f"{command(library, 'db', 'restore', '--new')} begins a new library"
    newest = newest_backup(library)
    if newest is None:
        ways = (
            f"{begin_anew} (photos are scored again), or {command(library, 'db', 'restore', 'FILE')} goes"
            " back to a backup of yours"
        )
    else:
        back = command(library, "db", "restore", str(newest))
        ways = f"{back} goes back to the newest backup, or {begin_anew}"
    return (
        f"It was left as it is. To go on, stop the daemon; then {ways}. What is there now is set aside, not"
        " removed."
    )


def for_newer(library: Path) -> str:
    """Say how to go on with a library of a later version of the program."""
    newest = newest_backup(library)
    back = (
        f"Or go back: {command(library, 'db', 'restore', '--new')} sets it aside and begins a new library"
        if newest is None
        else f"Or go back to the backup from before: {command(library, 'db', 'restore', str(newest))}"
    )
    return f"Upgrade maclip-daemon. {back}. It was left as it is."


def newest_backup(library: Path) -> Path | None:
    """Give the newest of the backups that lie beside the library."""
    found = [*library.parent.glob("*.backup.db"), *library.parent.glob(f"{library.name}.before-*")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
