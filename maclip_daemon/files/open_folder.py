"""An open folder: its files are found in it, whatever takes its name meanwhile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Self

from maclip_daemon.errors import FileChanged
from maclip_daemon.files import linux_calls, nofollow

_HAS_DESCRIPTORS = os.open in os.supports_dir_fd and os.rename in os.supports_dir_fd
_NO_SUCH_RENAME = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class OpenFolder:
    """A folder, opened without following links; every name below is a file directly in it."""

    def __init__(self, path: Path) -> None:
        """Open `path`. Raises `FileChanged` when it is a link or lies behind one, `OSError`."""
        self.path = path
        self.descriptor: int | None = None
        if not _HAS_DESCRIPTORS:
            return
        try:
            self.descriptor = nofollow.open_folder(path)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                raise FileChanged(
                    f"{path} is a symbolic link, or lies behind one; it is not followed."
                ) from None
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)

    def names(self) -> list[str]:
        """Return the names in the folder. Raises `OSError`."""
        if self.descriptor is None:
            return os.listdir(self.path)  # noqa: PTH208 - undecodable names
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            return os.listdir(readable)  # noqa: PTH208 - an open folder has no path
        finally:
            os.close(readable)

    def open(self, name: str, flags: int = nofollow.READ_FLAGS, mode: int = 0o600) -> int:
        """Open a file and return the descriptor; a link in its place is an error. Raises `OSError`."""
        flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
        return os.open(self._at(name), flags, mode, dir_fd=self.descriptor)

    def stat(self, name: str) -> os.stat_result:
        """Return the status of a file, or of the link in its place. Raises `OSError`."""
        return os.stat(self._at(name), dir_fd=self.descriptor, follow_symlinks=False)

    def rename(self, old: str, new: str) -> None:
        """Rename a file; one with the new name is replaced. Raises `OSError`."""
        os.rename(self._at(old), self._at(new), src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def exchange(self, one: str, other: str) -> bool:
        """Exchange two files in one step; return False where the file system cannot. Raises `OSError`."""
        return self._rename_with(one, other, linux_calls.EXCHANGE)

    def rename_new(self, old: str, new: str, flag: int = linux_calls.NOREPLACE) -> bool:
        """Rename unless the new name exists; return False where the file system cannot tell in one step.

        Raises `FileExistsError`, `OSError`.
        """
        return self._rename_with(old, new, flag)

    def link(self, old: str, new: str) -> None:
        """Add a second name to a file. Raises `FileExistsError`, `OSError`."""
        os.link(
            self._at(old),
            self._at(new),
            src_dir_fd=self.descriptor,
            dst_dir_fd=self.descriptor,
            follow_symlinks=False,
        )

    def unlink(self, name: str) -> None:
        """Remove a file. Raises `OSError`."""
        os.unlink(self._at(name), dir_fd=self.descriptor)

    def _rename_with(self, old: str, new: str, flag: int) -> bool:
        folder = linux_calls.AT_FDCWD if self.descriptor is None else self.descriptor
        try:
            linux_calls.renameat2(folder, self._at(old), self._at(new), flag)
        except OSError as error:
            if error.errno in _NO_SUCH_RENAME:
                return False
            raise
        return True

    def _at(self, name: str) -> str:
        return name if self.descriptor is not None else str(self.path / name)
