"""A file as a scan finds it, and the moment it is."""

from dataclasses import dataclass

NOW = 1_780_000_000.0


@dataclass(frozen=True)
class Found:
    path: str
    device: int = 3
    inode: int = 7
    size: int = 1000
    mtime_ns: int = 10**18
    ctime_ns: int = 10**18
