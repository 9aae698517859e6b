"""A photo that was opened once, without following links: all that is read of it comes from one descriptor.

Another user who may write the folder can swap the photo with a link at any moment. Whoever opened it by name
again would read the private file behind the link, and copy its title into a sidecar that others may read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO, Self

from maclip_daemon.errors import FileChanged
from maclip_daemon.files import nofollow
from maclip_daemon.files.signature import ExactSignature

_DESCRIPTORS = "/proc/self/fd"


class PhotoFile:
    """An open photo. Closing it closes what `until_closed` holds, too."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises `FileChanged` for a link and for anything but a regular file, `OSError`."""
        self.path = path
        self.until_closed = contextlib.ExitStack()
        try:
            is_regular = stat.S_ISREG(os.lstat(path).st_mode)  # opening a device can have an effect
            self.descriptor = nofollow.open_nofollow(path) if is_regular else -1
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise FileChanged(f"{path} lies behind a symbolic link; it is not followed.") from None
            raise
        if is_regular:
            self.until_closed.callback(os.close, self.descriptor)
            self.status = os.fstat(self.descriptor)
            is_regular = stat.S_ISREG(self.status.st_mode)
        if not is_regular:
            self.until_closed.close()
            raise FileChanged(f"{path} is no longer a regular file; it is left alone.")
        self.signature = ExactSignature.of(self.status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.until_closed.close()

    @property
    def name_of_descriptor(self) -> str | None:
        """Return a path that leads to the open file, for libraries that open it themselves; None without."""
        return name_of_descriptor(self.descriptor)

    def opened(self, buffering: int = -1) -> BinaryIO:
        """Return the content from its beginning, one reader at a time; closing it keeps the photo open."""
        os.lseek(self.descriptor, 0, os.SEEK_SET)
        return open(self.descriptor, "rb", buffering=buffering, closefd=False)

    def require_unchanged(self) -> None:
        """Raise `FileChanged` when the photo was written since, or its name belongs to another file."""
        for now in (os.fstat(self.descriptor), os.lstat(self.path)):
            if ExactSignature.of(now) != self.signature:
                raise FileChanged(f"{self.path} changed while it was read.")


def name_of_descriptor(descriptor: int) -> str | None:
    """Return a path that leads to an open file; None where the system has none (no /proc)."""
    name = f"{_DESCRIPTORS}/{descriptor}"
    return name if os.path.lexists(name) else None
