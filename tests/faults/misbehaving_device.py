"""A device that misbehaves on request: the only part of the fault suite's devices that is not real.

Without a broken graphics card, the encoder of a real scoring process raises the errors that torch raises on
one. Python imports `sitecustomize` at the start of every process that has its folder in PYTHONPATH. The
program is unchanged.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

FAULTS = """
import os, sys, threading, time
from pathlib import Path

if "FAKETIME_TIMESTAMP_FILE" in os.environ:  # see set_clock.py
    time.sleep = lambda seconds: threading.Event().wait(seconds) and None

if "maclip_daemon.scoring.scoring_process" in sys.orig_argv:
    import torch
    from maclip_daemon.iqa.encoder import Encoder

    folder = Path(__file__).parent
    works = Encoder.encode
    is_broken = False
    DeviceError = getattr(torch, "AcceleratorError", RuntimeError)  # since torch 2.8

    def may_begin():
        try:
            return int((folder / "held").read_text())
        except FileNotFoundError:
            return sys.maxsize

    def encode(self, views):
        global is_broken
        with (folder / "batches").open("a") as batches:
            batches.write(f"{os.getpid()} {len(views)}\\n")
        begun = sum(line.split()[1] != b"2" for line in (folder / "batches").read_bytes().splitlines())
        while len(views) > 2 and begun > may_begin():
            threading.Event().wait(0.01)
        room = folder / "room"
        if room.exists() and len(views) > int(room.read_text()):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        if len(views) > 2 and (folder / "breaks").exists():
            (folder / "breaks").unlink()
            is_broken = True
        if is_broken or (folder / "broken").exists():
            raise DeviceError("CUDA error: an illegal memory access was encountered")
        return works(self, views)

    Encoder.encode = encode
"""


class Device:
    """The switches of the device, for a daemon that was started with `environment`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(FAULTS)
        self._folder = folder
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.environment = {"PYTHONPATH": os.pathsep.join(paths)}

    def limit_memory(self, views: int | None) -> None:
        """Let batches of more views run out of memory; None removes the limit."""
        if views is None:
            (self._folder / "room").unlink()
        else:
            self._set("room", views)

    @contextlib.contextmanager
    def blocked_after(self, batches: int) -> Iterator[None]:
        """Let so many more batches pass; block the others until the end of the `with` block.

        So some work is done and some is under way, on any machine. The two views of a new process's probe do
        not count.
        """
        self._set("held", sum(views > 2 for _, views in self.batches()) + batches)
        try:
            yield
        finally:
            (self._folder / "held").unlink()

    def _set(self, name: str, number: int) -> None:
        """Change a switch atomically."""
        beside = self._folder / f"{name}.new"
        beside.write_text(str(number))
        beside.replace(self._folder / name)

    def break_once(self) -> None:
        """Let the next batch fail, and all later ones of the same process."""
        (self._folder / "breaks").touch()

    @property
    def is_about_to_break(self) -> bool:
        """Return whether the fault of `break_once` is still to come."""
        return (self._folder / "breaks").exists()

    def set_broken(self, broken: bool) -> None:
        """Let every process fail, new ones too, or let them work again."""
        if broken:
            (self._folder / "broken").touch()
        else:
            (self._folder / "broken").unlink()

    def batches(self) -> list[tuple[int, int]]:
        """Return process id and number of views of every batch that reached the device."""
        log = self._folder / "batches"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(int(pid), int(views)) for pid, views in map(str.split, lines)]
