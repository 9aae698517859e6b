"""Files that appear as a whole or not at all, in a folder or in object storage."""

from __future__ import annotations

import contextlib
import os
import secrets

from maclip_daemon.archive.storage import Pauses, Place, insist

_WHOLE_AT_ONCE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "memory"}
"""Storage where an object appears when all of it has arrived."""


def write_whole(place: Place, name: str, content: bytes, pauses: Pauses) -> None:
    """Write a file of a folder so that no reader ever sees a part of it; tried again while storage fails."""
    target = place.below(name)
    if place.is_local:
        insist(lambda: _replace(target, content), pauses, place.path)
        return
    file_system = place.file_system
    protocols = {file_system.protocol} if isinstance(file_system.protocol, str) else set(file_system.protocol)
    if protocols & _WHOLE_AT_ONCE:
        insist(lambda: file_system.pipe_file(target, content), pauses, place.path)
        return

    def put() -> None:
        unfinished = place.below(f".{name}-{secrets.token_hex(4)}")
        file_system.makedirs(place.path, exist_ok=True)
        file_system.pipe_file(unfinished, content)
        file_system.mv(unfinished, target)

    insist(put, pauses, place.path)


def _replace(target: str, content: bytes) -> None:
    folder, name = os.path.split(target)
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103 - addresses stay text
    unfinished = os.path.join(folder, f".{name}-{secrets.token_hex(4)}")
    try:
        with open(unfinished, "xb") as file:  # noqa: PTH123
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)  # noqa: PTH105
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(unfinished)  # noqa: PTH108
        raise
