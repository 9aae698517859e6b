"""Room on the disk of the library: whether work that stopped for want of space would get anywhere."""

from __future__ import annotations

import os
from pathlib import Path

from maclip_daemon.library.storage.database_errors import translated

HEADROOM = 4 << 20  # bytes: what the write-ahead log may grow by between two checkpoints
_BLOCK = 1 << 20


def require(library: Path) -> None:
    """Raise `DatabaseFull` unless some MiB can be written beside the library.

    They are written, not asked for: a quota, or a file system that promises more than it has, is seen too.
    """
    probe = library.with_name(f".{library.name}.room")
    try:
        try:
            descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                for _ in range(HEADROOM // _BLOCK):
                    _write(descriptor, os.urandom(_BLOCK))  # zeros may cost a file system nothing
            finally:
                os.close(descriptor)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise translated(error, library) or error from error


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
