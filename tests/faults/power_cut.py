"""Disks in files, whose power is cut: what had reached the file is there, what was in memory is not."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults import mounts
from tests.homes import until

SIZE = 96 << 20  # bytes
UNWRITTEN_S = 300  # ext4 commits its journal that late, when nobody asks for it
NEIGHBOUR_S = 0.05  # between two flushes of another program's file


class PoweredDisks:
    """ext4 disks in files, one for each mount point."""

    def __init__(self, folder: Path, points: list[Path]) -> None:
        self._images = {point: folder / f"disk{number}.img" for number, point in enumerate(points)}

    def cut_power(self, daemon: psutil.Process) -> None:
        """Freeze the daemon with its children, and go on with what the disks hold at this moment."""
        everybody = [daemon, *daemon.children(recursive=True)]
        for process in everybody:
            process.suspend()
        for image in self._images.values():
            frozen = ["cp", "--sparse=always", image, image.with_suffix(".frozen")]
            subprocess.run(frozen, check=True)
        for process in everybody:
            process.kill()
        for point, image in self._images.items():
            mounts.unmount(point)
            until(lambda image=image: not _is_used(image), "the end of the old mount")
            image.with_suffix(".frozen").replace(image)
            mounts.mount("-o", "loop", image, point)

    def mount(self) -> None:
        for point, image in self._images.items():
            until(lambda image=image: not _is_used(image), "the end of the mount of the round before")
            image.write_bytes(b"")
            with image.open("r+b") as file:
                file.truncate(SIZE)
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
            point.mkdir(exist_ok=True, mode=0o700)
            mounts.mount("-o", f"loop,commit={UNWRITTEN_S}", image, point)
            point.chmod(0o700)
            (point / "lost+found").rmdir()


@contextlib.contextmanager
def flushing_neighbour(file: Path) -> Iterator[None]:
    """Flush a file of another program's again and again, as a photo manager does; its content stays.

    The names of all files then reach the disk early: a file that was not flushed itself is there, and empty.
    """
    ended = threading.Event()

    def flush() -> None:
        with file.open("rb+") as opened:
            while not ended.wait(NEIGHBOUR_S):
                os.utime(opened.fileno())
                os.fsync(opened.fileno())

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _is_used(image: Path) -> bool:
    listed = subprocess.run(["losetup", "-j", image], capture_output=True, text=True, check=False)
    return bool(listed.stdout.strip())


@contextlib.contextmanager
def powered_disks(folder: Path, *points: Path) -> Iterator[PoweredDisks]:
    """Mount new disks at these points, or skip the test where that cannot be."""
    if shutil.which("mkfs.ext4") is None or shutil.which("losetup") is None:
        pytest.skip("there is no mkfs.ext4 or losetup on this machine")
    disks = PoweredDisks(folder, list(points))
    with mounts.unmounted_at_the_end(*points):
        disks.mount()
        yield disks
