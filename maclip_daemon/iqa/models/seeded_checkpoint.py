"""A small checkpoint drawn from a seed, for the demonstration and the tests. Its scores mean nothing.

It has the layout of OpenAI's ResNets and stores features for the prompts of every metric; it has no
text tower, so it takes a megabyte.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from maclip_daemon.iqa.models.checkpoints import PROMPTS_FEATURES
from maclip_daemon.iqa.prompts import CLIPIQA_PAIRS, MACLIP_PAIRS, QUALICLIP_PAIRS, texts
from maclip_daemon.iqa.towers.resnet_tower import ResNetTower

_WIDTH = 8
_EMBEDDING = 64
_LOGIT_SCALE = 3.0  # before exp; CLIP's 4.6 would push the random similarities to 0 and 1


def seeded_prompts() -> tuple[str, ...]:
    """Return the prompts whose features a seeded checkpoint stores, in the order of its rows."""
    return tuple(dict.fromkeys(texts(MACLIP_PAIRS + CLIPIQA_PAIRS + QUALICLIP_PAIRS)))


def seeded_state(
    seed: int, *, width: int = _WIDTH, layers: tuple[int, ...] = (1, 1, 1, 1)
) -> dict[str, Tensor]:
    """Return the tensors of a seeded checkpoint in fp32, the same for the same seed on every machine."""
    generator = np.random.RandomState(seed)  # its stream is frozen for good (NEP 19); torch's is not
    with torch.device("meta"):
        tower = ResNetTower(layers, width, _EMBEDDING, heads=width * 32 // 64, grid=7)
    norms = {name for name, module in tower.named_modules() if isinstance(module, nn.BatchNorm2d)}
    state = {
        f"visual.{name}": _draw(name, value, norms, generator) for name, value in tower.state_dict().items()
    }
    prompts = _normal((len(seeded_prompts()), _EMBEDDING), generator)
    state[PROMPTS_FEATURES] = torch.nn.functional.normalize(prompts, dim=-1)
    state["logit_scale"] = torch.tensor(_LOGIT_SCALE)
    return state


def seeded_checkpoint(seed: int) -> bytes:
    """Return a seeded checkpoint in fp16 as the bytes of a safetensors file, about one megabyte."""
    metadata = {
        "prompts": json.dumps(seeded_prompts()),
        "notice": "Random weights from a seed, for demonstrations and tests: the scores mean nothing.",
    }
    halves = {name: value.half().contiguous() for name, value in seeded_state(seed).items()}
    return bytes(save(halves, metadata))


def write_seeded_checkpoint(path: Path, seed: int = 0) -> Path:
    """Write a seeded checkpoint for `--model file:PATH`; return its path."""
    path.write_bytes(seeded_checkpoint(seed))
    return path


def _draw(name: str, place: Tensor, norms: set[str], generator: np.random.RandomState) -> Tensor:
    """Return one tensor: He-normal weights, and batch norms that keep every channel alive."""
    owner, _, kind = name.rpartition(".")
    if kind == "num_batches_tracked":
        return torch.zeros(())
    drawn = _normal(tuple(place.shape), generator)
    if owner in norms:
        if ".bn3" in owner and kind == "weight":
            # The last norm of a residual branch: undamped branches double the variance in every block, and a
            # deep tower becomes chaotic, as no trained one is (bf16 then moves its scores ten times further).
            return 0.25 * (1 + 0.2 * drawn.abs())
        return 1 + 0.2 * drawn.abs() if kind in ("weight", "running_var") else 0.2 * drawn
    gain = math.sqrt(2 / place[0].numel()) if kind == "weight" else 0.1
    return gain * drawn


def _normal(shape: tuple[int, ...], generator: np.random.RandomState) -> Tensor:
    return torch.from_numpy(np.asarray(generator.standard_normal(shape), dtype=np.float32))
