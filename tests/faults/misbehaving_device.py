"""A device that misbehaves on request: the only part of the fault suite's devices that is not real.

There is no broken graphics card at hand, so the encoder of a real scoring process raises what torch raises on
one. Python imports `sitecustomize` by itself at the start of every process that has its folder in PYTHONPATH;
the program knows nothing of it.
"""

from __future__ import annotations

import os
from pathlib import Path

FAULTS = """
import os, sys
from pathlib import Path

if "maclip_daemon.scoring.process" in sys.orig_argv:
    import torch
    from maclip_daemon.iqa.encoder import Encoder

    folder = Path(__file__).parent
    works = Encoder.encode
    is_broken = False
    DeviceError = getattr(torch, "AcceleratorError", RuntimeError)  # since torch 2.8

    def encode(self, views):
        global is_broken
        with (folder / "batches").open("a") as batches:
            batches.write(f"{os.getpid()} {len(views)}\\n")
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

    def has_room_for(self, views: int | None) -> None:
        """Let batches above so many views run out of memory; None: there is room for all."""
        room = self._folder / "room"
        if views is None:
            room.unlink()
        else:
            beside = room.with_name("room.new")
            beside.write_text(str(views))
            beside.replace(room)

    def breaks_once(self) -> None:
        """Let the next batch fail, and everything after it in the same process."""
        (self._folder / "breaks").touch()

    @property
    def is_about_to_break(self) -> bool:
        """Whether `breaks_once` has not happened yet."""
        return (self._folder / "breaks").exists()

    def is_broken(self, broken: bool) -> None:
        """Let every process fail, new ones too; or work again."""
        if broken:
            (self._folder / "broken").touch()
        else:
            (self._folder / "broken").unlink()

    def batches(self) -> list[tuple[int, int]]:
        """Process and number of views of every batch that reached the device."""
        log = self._folder / "batches"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(int(pid), int(views)) for pid, views in map(str.split, lines)]
