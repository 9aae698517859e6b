"""The built-in model as files: weights in half precision with their description, and the card beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from maclip_daemon.iqa.models.checkpoints import (
    LOCAL_PROMPTS_FEATURES,
    PROMPTS_FEATURES,
    TILE_PROMPTS_FEATURES,
)
from maclip_daemon.iqa.models.timm_tower import METADATA_KEY, TimmTower
from maclip_daemon.iqa.prompts import CLIPIQA_PAIRS, MACLIP_PAIRS, QUALICLIP_PAIRS, PromptPair
from maclip_daemon.iqa.towers import local_tower
from maclip_daemon.training.aligned_model import MAXIMUM_SCALE, AlignedModel

_ROWS = {pair.name: place for place, pair in enumerate(MACLIP_PAIRS)} | {"quality": 0, "picture": 0}


def write_model(
    model: AlignedModel,
    tower: TimmTower,
    path: Path,
    *,
    version: str,
    protocol: str,
    edges: Mapping[str, Sequence[float]],
    notes: Mapping[str, str],
    fusion: Mapping[str, Any] | None = None,
    local: AlignedModel | None = None,
) -> str:
    """Write `path` (safetensors, fp16) and its card `.json`; return the SHA-256 of the weights.

    The model has no text tower. It stores the prompts of every metric: those of CLIP-IQA and QualiCLIP get
    the learned features of the MA-CLIP prompt of the same meaning. `edges`: metric → scores at which 2, 3, 4
    and 5 stars begin. `fusion`: how overall and detail cues make a score; with it go the prompts of tiles.
    `local`: the local tower with its prompts.
    `notes` go into the file's metadata and the card. Raises `ValueError` for weights that
    do not fit into half precision.
    """
    names, features = prompt_rows(model.prompts.detach())
    tensors = _halves(model.visual, "visual.") | {PROMPTS_FEATURES: features.contiguous()}
    if fusion is not None:
        tensors[TILE_PROMPTS_FEATURES] = prompt_rows(model.detail_prompts.detach())[1].contiguous()
    if local is not None:
        tensors[LOCAL_PROMPTS_FEATURES] = prompt_rows(local.detail_prompts.detach())[1].contiguous()
        tensors |= _halves(local.visual, local_tower.PREFIX)
    tensors["logit_scale"] = model.logit_scale.detach().float().clamp(max=MAXIMUM_SCALE).reshape(())
    metadata = {
        METADATA_KEY: tower.as_json(),
        "prompts": json.dumps(names),
        "protocol": protocol,
        "version": version,
        **({} if fusion is None else {"fusion": json.dumps(fusion)}),
        **notes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata)
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()
    partial.chmod(0o644)  # safetensors makes files that only their owner may read
    partial.replace(path)
    card = {
        "version": version,
        "protocol": protocol,
        "sha256": digest,
        "edges": {metric: [round(edge, 4) for edge in values] for metric, values in edges.items()},
        **notes,
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return digest


def _halves(tower: nn.Module, prefix: str) -> dict[str, Tensor]:
    """Return the tower's weights in fp16, their names with a prefix; raise `ValueError` on overflow."""
    tensors = {f"{prefix}{name}": value.half().contiguous() for name, value in tower.state_dict().items()}
    overflown = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if overflown:
        raise ValueError(f"These weights do not fit into half precision: {', '.join(overflown)}.")
    return tensors


def prompt_rows(prompts: Tensor) -> tuple[list[str], Tensor]:
    """Return the prompts of all metrics with features [n, D], from ten learned ones in MA-CLIP's order."""
    normalised = torch.nn.functional.normalize(prompts.float(), dim=-1)
    rows: dict[str, Tensor] = {}
    pair: PromptPair
    for pair in (*MACLIP_PAIRS, *CLIPIQA_PAIRS, *QUALICLIP_PAIRS):
        place = 2 * _ROWS[pair.name]
        rows.setdefault(pair.good, normalised[place])
        rows.setdefault(pair.bad, normalised[place + 1])
    return list(rows), torch.stack(list(rows.values()))
