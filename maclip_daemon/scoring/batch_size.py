"""The batch size: how many views go through the encoder together, found on real work and remembered.

The best size depends on caches, memory and precision; on some machines the wrong one takes twice as long.
The search costs nothing: the first batches of real work have different sizes and are timed. The times are
kept in a file between processes, because a process that is idle for a minute ends.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from maclip_daemon.iqa.encoder import Precision

FILE_NAME = "batch-sizes.json"
TRIALS = 3  # of each size; the fastest counts: the machine may have been busy, the first lays out memory
CANDIDATES = (5, 10, 20, 40, 80)  # views; the smallest is one photo at spaq448
CUDA_CANDIDATES = (20, 40, 80, 160, 320)
GOOD_ENOUGH = 1.02  # a smaller batch that takes 2 % longer saves its memory


class BatchSize:
    """A fixed number of views in a batch."""

    def __init__(self, views: int) -> None:
        self._views = views

    @property
    def views(self) -> int:
        """Views of the next batch."""
        return self._views

    def record(self, views: int, seconds: float) -> None:
        """Take note of how long a batch of so many views of 224×224 took."""

    def shrink(self, tried: int) -> None:
        """Use at most half of `tried` from now on: the memory ran out."""
        self._views = min(self.views, max(1, tried // 2))


class BatchSearch(BatchSize):
    """Tries each candidate on real work, then keeps the fastest and remembers it in a file."""

    def __init__(self, file: Path, key: str, candidates: Sequence[int] = CANDIDATES) -> None:
        """Resume the search in `file`, JSON that the first trial makes. `key`: see `key_of`."""
        self._file = file
        self._key = key
        self._trials: dict[int, list[float]] = {size: [] for size in candidates}
        remembered = _read(file).get(key)
        if isinstance(remembered, dict):
            for size, taken in self._trials.items():
                times = remembered.get(str(size))
                taken += [one for one in times if isinstance(one, float)] if isinstance(times, list) else []
        self._is_found = isinstance(remembered, int) and remembered in self._trials
        super().__init__(remembered if isinstance(remembered, int) and self._is_found else candidates[0])

    @property
    def views(self) -> int:
        """The fastest candidate when it is known, else the one that was tried least."""
        if self._is_found:
            return self._views
        return min(self._trials, key=lambda size: len(self._trials[size]))

    def record(self, views: int, seconds: float) -> None:
        """Count a trial; batches of other sizes, the last ones of some work, do not count."""
        if self._is_found or views not in self._trials:
            return
        self._trials[views].append(seconds / views)
        if all(len(taken) >= TRIALS for taken in self._trials.values()):
            fastest = {size: min(taken) for size, taken in self._trials.items()}
            limit = GOOD_ENOUGH * min(fastest.values())
            self._views = min(size for size, taken in fastest.items() if taken <= limit)
            self._is_found = True
        found = self._views if self._is_found else {str(size): taken for size, taken in self._trials.items()}
        _write(self._file, _read(self._file) | {self._key: found})

    def shrink(self, tried: int) -> None:
        """End the search without remembering anything: the memory may be free again tomorrow."""
        super().shrink(tried)
        self._is_found = True


def search_for(
    data_dir: Path, model: str, device: torch.device, precision: Precision, batch_photos: int
) -> BatchSearch:
    """Return the search for one model on this machine.

    Left out are sizes that no request can fill, and on a processor sizes that leave a thread without a batch.
    """
    candidates = CUDA_CANDIDATES if device.type == "cuda" else CANDIDATES
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    most = CANDIDATES[0] * max(1, batch_photos // threads)
    fillable = [size for size in candidates if size <= most]
    return BatchSearch(data_dir / FILE_NAME, key_of(model, device, precision), fillable or [most])


def key_of(model: str, device: torch.device, precision: Precision) -> str:
    """Return everything that the best size depends on, as text."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{device.type} {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    return f"{model}; {name}; {precision}; torch {torch.__version__}"


def _read(file: Path) -> dict[str, object]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # not made yet, or damaged: the search is made again
    return found if isinstance(found, dict) else {}


def _write(file: Path, sizes: Mapping[str, object]) -> None:
    """Write the file in place: a killed process leaves no second file, and a damaged file counts as none.

    Without space or permission the search is made again the next time.
    """
    with contextlib.suppress(OSError):
        file.write_text(json.dumps(sizes, indent=1, sort_keys=True), encoding="utf-8")
