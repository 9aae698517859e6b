"""The daemon's notice: one sentence for `maclip status` while the database cannot be written.

On a full disk or in a locked database, the daemon cannot store why it waits. So it reserves one block of a
file while there is space, and overwrites it in place later. A copy-on-write file system needs space for that
too; there the daemon locks a byte of the file instead, one for each reason.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from maclip_daemon.files.os_errors import shortage

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

SIZE = 4096  # bytes: one block of most file systems, reserved whole
_LOCKED_BYTE = {errno.ENOSPC: SIZE + 1, errno.EDQUOT: SIZE + 2}

_locked: list[int] = []
"""The descriptor that holds the lock of this process; closing it ends the lock."""


def put(data_dir: Path, sentence: str) -> None:
    """Replace the notice; an empty one removes it. Where that fails, only the log has the reason."""
    text = sentence.encode("utf-8", "backslashreplace")[:SIZE]
    while _locked:
        os.close(_locked.pop())
    try:
        descriptor = os.open(_path(data_dir), os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb", buffering=0) as file:  # not truncated: its block stays reserved
            file.write(text.ljust(SIZE))
    except OSError as error:
        if sentence and error.errno in _LOCKED_BYTE:
            _lock(data_dir, error.errno)


def read(data_dir: Path) -> str:
    """Return the notice, or an empty text. It counts only while a daemon runs."""
    with contextlib.suppress(OSError), _path(data_dir).open("rb") as file:
        for number, byte in _LOCKED_BYTE.items():
            if _is_locked(file.fileno(), byte):
                return f"{shortage(number, data_dir)}. Free some space there; work then goes on."
        return file.read(SIZE).decode("utf-8", "replace").strip("\0 \n")
    return ""


def _lock(data_dir: Path, number: int) -> None:
    with contextlib.suppress(OSError):
        _locked.append(os.open(_path(data_dir), os.O_WRONLY))
        if fcntl is not None:
            fcntl.lockf(_locked[-1], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _LOCKED_BYTE[number])


def _is_locked(descriptor: int, byte: int) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, byte)
    except BlockingIOError:
        return True
    fcntl.lockf(descriptor, fcntl.LOCK_UN, 1, byte)
    return False


def _path(data_dir: Path) -> Path:
    return data_dir / "daemon.notice"
