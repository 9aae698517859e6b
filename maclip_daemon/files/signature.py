"""Signatures: changed and replaced files are recognised without reading them."""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol


class FileSignature(NamedTuple):
    """Size, modification time, inode and device of a file, in this order everywhere.

    The time of the inode's change (`st_ctime_ns`) is not part of it: a new hard link and new permissions
    change it too. Compare it too where a modification time may be set back.
    """

    size: int
    """Bytes."""
    mtime_ns: int
    """Last change of the content, in nanoseconds since 1970."""
    inode: int
    device: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileSignature:
        """Return the signature of a file from its `os.stat_result`."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev)


class ExactSignature(NamedTuple):
    """A signature with the time of the inode's change: permissions and new names change it too.

    No program can set that time back, so a file that has it still was not written.
    """

    size: int
    mtime_ns: int
    inode: int
    device: int
    ctime_ns: int
    """Last change of the inode, in nanoseconds since 1970."""

    @classmethod
    def of(cls, status: os.stat_result) -> ExactSignature:
        """Return the signature of a file from its `os.stat_result`."""
        return cls(*FileSignature.of(status), status.st_ctime_ns)


class HasRecordedSignature(Protocol):
    """Anything that carries the parts of a signature, as the library recorded them."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def mtime_ns(self) -> int:
        """Nanoseconds since 1970."""

    @property
    def inode(self) -> int:
        """`st_ino`."""

    @property
    def device(self) -> int:
        """`st_dev`."""

    @property
    def ctime_ns(self) -> int | None:
        """`st_ctime_ns`; None: not recorded."""


class HasSignature(HasRecordedSignature, Protocol):
    """Anything that carries the parts of a present file's signature."""

    @property
    def ctime_ns(self) -> int:
        """`st_ctime_ns`: no program can set it."""
