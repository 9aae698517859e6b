"""The spool: decoders write large blocks of pixels to files, so that the parent process stays small."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, NoSpace
from maclip_daemon.files.os_errors import DISK_FULL, shortage

LARGEST_IN_PIPE = 256 << 10  # bytes; larger ones are spooled: some fifty blocks wait in the parent at once
_NAME = re.compile(r"pixels-[0-9a-f]{32}\.rgb")


def new_path(spool: Path) -> Path:
    """Return a new path in the spool."""
    return spool / f"pixels-{secrets.token_hex(16)}.rgb"


def write(path: Path, blocks: Iterable[bytes]) -> None:
    """Write blocks of pixels to a new file that only this user can read.

    Raises `NoSpace` when the disk is full, and then leaves nothing behind.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(blocks)
    except OSError as error:
        discard(path)
        if error.errno in DISK_FULL:
            raise NoSpace(
                f"{shortage(error.errno, path.parent)}: there is no room for decoded photos. Free some space."
            ) from None
        raise


def discard(path: Path) -> None:
    """Remove a spooled block, unless it is gone already."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def clean(spool: Path) -> int:
    """Make the spool folder, remove the blocks of an earlier run, and return how many.

    Only for the owner of the spool, before its first decoder starts. Raises `NoSpace`, `EnvironmentUnfit`.
    """
    try:
        spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        stale = [path for path in spool.iterdir() if _NAME.fullmatch(path.name)]
    except OSError as error:
        if error.errno in DISK_FULL:
            raise NoSpace(
                f"{shortage(error.errno, spool.parent)}: there is no room for decoded photos. Free some"
                " space."
            ) from None
        raise EnvironmentUnfit(
            f"The folder {spool} for decoded pixels cannot be used: {error.strerror}."
        ) from None
    for path in stale:
        discard(path)
    return len(stale)
