"""Loading: a resolved model and a metric → the encoder, the prompt features, the logit scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.encoder import Encoder, Precision, ViewFormat
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.building import build_text_tower, build_visual_tower
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.checkpoints import Checkpoint, load_checkpoint
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import PromptPair, texts
from maclip_daemon.iqa.towers import lite_tower, local_tower

# Stages of the built-in model's tower that stay in fp32: nearly all that bf16 does to the scores, it does to
# the pixels and their first edges. The largest difference falls from 0.023 to 0.008 (docs/performance.md).
EXACT_BLOCKS = 2


def load(
    model: ResolvedModel,
    metric: Metric,
    data_dir: Path,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
) -> LoadedModel:
    """Load a model's image tower to a device and compute the metric's prompt features.

    Raises `ModelUnavailable` when the weights are missing, damaged, or do not know the prompts.
    """
    if model.open_clip is not None:
        from maclip_daemon.iqa.models import open_clip_models  # slow: it imports open_clip

        return open_clip_models.load(model.open_clip, metric, data_dir, device, precision)
    assert model.path is not None
    checkpoint = load_checkpoint(model.path)
    prompts = prompt_features(checkpoint, metric.pairs)
    return LoadedModel(
        _encoder_of(checkpoint, device, precision),
        prompts,
        checkpoint.logit_scale,
        _stored(checkpoint.tile_prompts, metric.pairs),
        _local_encoder_of(checkpoint, device),
        _stored(checkpoint.local_prompts, metric.pairs),
        checkpoint.fusion,
    )


def _encoder_of(checkpoint: Checkpoint, device: torch.device | str, precision: Precision) -> Encoder:
    described = checkpoint.architecture
    if not isinstance(described, TimmTower):
        tower = build_visual_tower(described, checkpoint.state, checkpoint.origin)
        return Encoder(tower, device=device, precision=precision)
    loaded = timm_tower.load(described, checkpoint.state, checkpoint.origin)
    takes = ViewFormat(any_size=True)
    beginning, rest = lite_tower.halves(loaded, EXACT_BLOCKS)
    return Encoder(rest, device=device, precision=precision, takes=takes, beginning=beginning)


def _local_encoder_of(checkpoint: Checkpoint, device: torch.device | str) -> Encoder | None:
    """Return the local tower of a checkpoint that has one; in fp32, which fine detail needs."""
    if not isinstance(checkpoint.architecture, TimmTower):
        return None
    tower = local_tower.load(checkpoint.state, checkpoint.architecture.embed_dim, checkpoint.origin)
    return None if tower is None else Encoder(tower, device=device)


@torch.inference_mode()
def prompt_features(checkpoint: Checkpoint, pairs: tuple[PromptPair, ...]) -> Tensor | None:
    """Return the features of the prompts, [2P, D] of length one in the order good, bad; None without pairs.

    They come from the checkpoint where it stores them, else from its text tower. Raises `ModelUnavailable`
    when it has neither.
    """
    if not pairs:
        return None
    stored = _stored(checkpoint.stored_prompts, pairs)
    if stored is not None:
        return stored
    prompts = texts(pairs)
    if isinstance(checkpoint.architecture, TimmTower) or checkpoint.architecture.text_width is None:
        known = ", ".join(checkpoint.stored_prompts) or "none"
        raise ModelUnavailable(
            f"{checkpoint.origin} has no text tower, so it knows only its stored prompts ({known}). "
            "Choose another metric, or a model with a text tower."
        )
    from open_clip.tokenizer import SimpleTokenizer  # slow, and few checkpoints need it

    tower = build_text_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin)
    tokenizer = SimpleTokenizer(context_length=checkpoint.architecture.context)
    features = tower(tokenizer(list(prompts)))
    return torch.nn.functional.normalize(features.float(), dim=-1)


def _stored(rows: Mapping[str, Tensor], pairs: tuple[PromptPair, ...]) -> Tensor | None:
    """Return the stored features of the prompts, [2P, D] of length one; None where one is missing."""
    prompts = texts(pairs)
    if not prompts or not all(prompt in rows for prompt in prompts):
        return None
    features = torch.stack([rows[prompt] for prompt in prompts])
    return torch.nn.functional.normalize(features.float(), dim=-1)
