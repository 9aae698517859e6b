"""Pooled views: what the last layers of a tower see of each photo.

Everything before them has run once, so that a step of their training takes milliseconds. A complete cache is
used again, so that a stopped training continues where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from maclip_daemon.iqa import protocols
from maclip_daemon.iqa.views import make_views
from maclip_daemon.training.degradations import Pixels

_PROTOCOL = protocols.parse("detail-8")  # its small picture; photos with opinions are too small for tiles


@dataclass(frozen=True)
class PooledViews:
    """Some views of each of N photos."""

    values: Tensor
    """[V, C], photo by photo."""
    starts: NDArray[np.intp]
    """[N + 1], where the views of each photo begin, and the end."""

    def draw(self, photos: NDArray[np.intp], count: int, generator: np.random.Generator) -> Tensor:
        """Return `count` views of each of these photos, [len(photos) · count, C]; of few some come again."""
        chosen = []
        for photo in photos:
            first, end = self.starts[photo], self.starts[photo + 1]
            chosen.append(first + generator.choice(end - first, count, replace=end - first < count))
        return self.values[torch.from_numpy(np.concatenate(chosen))]

    def whole(self, photos: NDArray[np.intp]) -> Tensor:
        """Return the view of the whole of each of these photos, [len(photos), C]."""
        return self.values[torch.from_numpy(self.starts[photos + 1] - 1)]


@torch.inference_mode()
def cache_pooled_views(
    trunk: nn.Module, photos: Iterable[Pixels], crops: int, seed: int, path: Path
) -> PooledViews:
    """Return the photos' views as the program makes them, made now or read from where they were left.

    `trunk`: the tower up to its pooling. `crops`: how many of the crops, drawn at random; the whole photo
    comes last. `path` (`.npz`): where they are left; the file is named after trunk, crops and seed as well,
    because a tower that was trained anew has other views.
    """
    path = path.with_stem(f"{path.stem}-{_identity(trunk, crops, seed)}")
    if not path.is_file():
        generator = np.random.default_rng(seed)
        values, counts = [], [0]
        for photo in photos:
            picture = _PROTOCOL.resize(Image.fromarray(photo), two_steps=True)
            views = make_views(torch.from_numpy(np.array(picture)), "crops", centred=True)
            last = len(views) - 1
            chosen = [*generator.choice(last, min(crops, last), replace=False).tolist(), last]
            values.append(trunk(views[chosen].contiguous(memory_format=torch.channels_last)).float().numpy())
            counts.append(len(chosen))
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_stem(f"{path.stem}-partial")
        np.savez(partial, values=np.concatenate(values), starts=np.cumsum(counts))
        partial.replace(path)
    stored = np.load(path)
    return PooledViews(torch.from_numpy(stored["values"]), stored["starts"])


def _identity(trunk: nn.Module, crops: int, seed: int) -> str:
    digest = hashlib.sha256(f"{crops} {seed}".encode())
    for values in trunk.state_dict().values():
        digest.update(values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
