"""Real mounts for tests: disks that go offline, become read-only or unreadable."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.homes import until

_FIBMAP = 1  # ioctl: which block of the disk holds a block of the file, <linux/fs.h>
_BLOCK = 4096


def mount(*arguments: str | Path) -> None:
    """Mount, or skip the test where that is not allowed."""
    if shutil.which("mount") is None:
        pytest.skip("there is no mount program on this machine")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this user may not mount here: {done.stderr.strip()}")


def unmount(point: Path) -> None:
    """Unmount a disk at once, even while files on it are open."""
    subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)


@contextlib.contextmanager
def unmounted_at_the_end(*points: Path) -> Iterator[None]:
    """Unmount whatever is still mounted there at the end."""
    try:
        yield
    finally:
        for point in points:
            while os.path.ismount(point):
                subprocess.run(["umount", "--lazy", point], check=True, capture_output=True)


@contextlib.contextmanager
def memory_disk(point: Path) -> Iterator[None]:
    """Mount a small disk at `point`."""
    point.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", point)
    with unmounted_at_the_end(point):
        yield


@contextlib.contextmanager
def removable_disk(store: Path, point: Path) -> Iterator[None]:
    """Mount a disk at `point` whose content, in `store`, survives an unmount."""
    with memory_disk(store), unmounted_at_the_end(point):
        attach(store, point)
        yield


def attach(store: Path, point: Path) -> None:
    """Mount the content of `store` at `point`."""
    mount("--bind", store, point)


class Share:
    """A folder served through FUSE by its own process, as a network share is."""

    def __init__(self, source: Path, point: Path, *options: str) -> None:
        self._source, self._point, self._options = source, point, options
        self.server: subprocess.Popen[bytes] | None = None

    def serve(self) -> None:
        command = ["bindfs", "-f", "-o", "nonempty", *self._options, self._source, self._point]
        self.server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: os.path.ismount(self._point) or self.server.poll() is not None, "the share")
        if not os.path.ismount(self._point):
            pytest.skip("FUSE cannot be used on this machine")

    def kill_server(self) -> None:
        """Kill the server; its mount stays and returns errors."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    def end(self) -> None:
        if self.server is not None and self.server.poll() is None:
            self.kill_server()
        subprocess.run(["umount", "--lazy", self._point], capture_output=True, check=False)


@contextlib.contextmanager
def share(source: Path, point: Path, *options: str) -> Iterator[Share]:
    """Serve `source` at `point` with these options of bindfs, or skip the test where that cannot be."""
    if shutil.which("bindfs") is None:
        pytest.skip("there is no bindfs (a FUSE file system) on this machine")
    served = Share(source, point, *options)
    served.serve()
    try:
        yield served
    finally:
        served.end()


class FailingDisk:
    """An ext4 disk in a file. Once truncated, it lists its files but cannot read them (EIO)."""

    def __init__(self, image: Path, point: Path) -> None:
        self._image, self.point = image, point
        self._lost = b""
        self._cut = 0

    def fail(self, files: Sequence[Path]) -> None:
        """Make these files, and all written after them, unreadable."""
        _flush(self.point)
        self._cut = min(_first_block(file) for file in files) * _BLOCK
        with self._image.open("r+b") as image:
            image.seek(self._cut)
            self._lost = image.read()
            image.truncate(self._cut)
        for file in files:
            with file.open("rb") as opened:
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for file in files:
            with pytest.raises(OSError, match="Input/output error"):
                file.read_bytes()

    def heal(self) -> None:
        with self._image.open("r+b") as image:
            image.seek(self._cut)
            image.write(self._lost)


@contextlib.contextmanager
def failing_disk(image: Path, point: Path) -> Iterator[FailingDisk]:
    """Mount a new ext4 in a file, or skip the test where that cannot be."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4 on this machine")
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-b", str(_BLOCK), image], check=True, capture_output=True)
    point.mkdir(exist_ok=True)
    mount("-o", "loop,noatime", image, point)
    with unmounted_at_the_end(point):
        yield FailingDisk(image, point)


@contextlib.contextmanager
def exfat_disk(image: Path, point: Path) -> Iterator[None]:
    """Mount a new exFAT in a file, with the kernel's or FUSE's, or skip the test where that cannot be."""
    if os.geteuid() != 0 or shutil.which("mkfs.exfat") is None:
        pytest.skip("needs root and the Debian package exfatprogs")
    image.touch()
    os.truncate(image, 16 << 20)
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    found = subprocess.run(["losetup", "-f", "--show", image], check=False, capture_output=True, text=True)
    device = found.stdout.strip()
    if not device:
        pytest.skip(f"no loop device: {found.stderr}")
    ways = (["mount", "-t", "exfat", device, point], ["mount.exfat-fuse", device, point])
    try:
        if not any(_succeeds(way) for way in ways):
            pytest.skip("exFAT cannot be mounted: needs the kernel's or the Debian package exfat-fuse")
        with unmounted_at_the_end(point):
            yield
    finally:
        subprocess.run(["losetup", "-d", device], check=False)


def _succeeds(command: Sequence[str | Path]) -> bool:
    is_there = shutil.which(command[0]) is not None
    return is_there and not subprocess.run(command, check=False, capture_output=True).returncode


def last_on_disk(files: Sequence[Path]) -> Path:
    """Return the file stored last on the disk."""
    _flush(files[0])
    return max(files, key=_first_block)


def _flush(path: Path) -> None:
    """Flush one file system to its disk, and not those of other tests."""
    subprocess.run(["sync", "-f", path], check=True)


def _first_block(file: Path) -> int:
    with file.open("rb") as opened:
        answer: bytes = fcntl.ioctl(opened.fileno(), _FIBMAP, struct.pack("i", 0))
    return int(struct.unpack("i", answer)[0])
