"""Alignment of an existing CLIP to image quality, as QualiCLIP did with OpenAI's ResNet-50.

The text tower stays as it is: its features of MA-CLIP's prompts are the fixed directions to which the image
tower is aligned (QualiCLIP, arXiv 2403.11176, section 3.2). The result is a checkpoint like QualiCLIP's: the
image tower with its prompt features, without a text tower.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa.models import timm_tower
from maclip_daemon.iqa.models.building import build_visual_tower
from maclip_daemon.iqa.models.checkpoints import PROMPTS_FEATURES, Checkpoint
from maclip_daemon.iqa.models.loading import prompt_features
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import CLIPIQA_PAIRS, MACLIP_PAIRS, QUALICLIP_PAIRS, texts
from maclip_daemon.iqa.towers.resnet_tower import AttentionPool, ResNetTower
from maclip_daemon.training.aligned_model import AlignedModel
from maclip_daemon.training.alignment import AlignmentWeights, align
from maclip_daemon.training.degradations import Pixels
from maclip_daemon.training.training_views import SMALLEST_PHOTO, ladder_batch

_TOWER_RATE = 1e-5  # AdamW; a pretrained tower forgets what it knows at much larger steps
# No anchors: only the order of CLIP's scores is to change, not their range. Small margins, because its
# similarities of good and bad photos differ by a few hundredths.
_WEIGHTS = AlignmentWeights(anchor=0.0, margin_per_level=0.02)


def align_checkpoint(
    checkpoint: Checkpoint,
    photos: Sequence[Pixels],
    target: Path,
    *,
    steps: int = 500,
    batch: int = 8,
    seed: int = 0,
    device: str = "cpu",
    report: Callable[[int, float], None] | None = None,
) -> None:
    """Align the image tower of a CLIP in OpenAI's layout to the quality of photos, and write it to `target`.

    `photos`: good photos [H, W, 3], each side at least 248 pixels; they are worsened here. `report` is called
    with each step and its loss. Raises `UsageError` when no photo is large enough.
    """
    usable = [photo for photo in photos if min(photo.shape[:2]) >= SMALLEST_PHOTO]
    if not usable:
        raise UsageError(f"There is no photo with sides of {SMALLEST_PHOTO} pixels or more to learn from.")
    torch.manual_seed(seed)
    prompts = prompt_features(checkpoint, MACLIP_PAIRS)
    assert prompts is not None
    tower = _trainable_tower(checkpoint)
    model = AlignedModel(tower, prompts.clone(), checkpoint.logit_scale, learn_prompts=False).to(device)
    model.eval()  # batch norms keep their statistics: a small batch of worsened photos has others
    generator = np.random.default_rng(seed)
    batches = (ladder_batch(usable, batch, generator).to(device) for _ in range(steps))
    aligned = align(
        model,
        batches,
        steps,
        tower_rate=_TOWER_RATE,
        head_rate=_TOWER_RATE,
        weights=_WEIGHTS,
        report=report,
    )
    _write(aligned, _all_prompts(checkpoint), checkpoint, target)


def _trainable_tower(checkpoint: Checkpoint) -> nn.Module:
    described = checkpoint.architecture
    tower: nn.Module = (
        timm_tower.load(described, checkpoint.state, checkpoint.origin, trainable=True)
        if isinstance(described, TimmTower)
        else build_visual_tower(described, checkpoint.state, checkpoint.origin)
    )
    tower.requires_grad_(True)
    if isinstance(tower, ResNetTower):
        # Off in every metric here (as published), so it is off while training too.
        assert isinstance(tower.attnpool, AttentionPool)
        tower.attnpool.positional_embedding.data.zero_()
        tower.attnpool.positional_embedding.requires_grad_(False)
    return tower


def _all_prompts(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Return the features of every metric's prompts that the checkpoint knows, by prompt."""
    known: dict[str, Tensor] = {}
    for pairs in (MACLIP_PAIRS, CLIPIQA_PAIRS, QUALICLIP_PAIRS):
        try:
            features = prompt_features(checkpoint, pairs)
        except ModelUnavailable:  # it has no text tower, and does not store these
            continue
        assert features is not None
        known.update(zip(texts(pairs), features, strict=True))
    return known


def _write(aligned: AlignedModel, prompts: dict[str, Tensor], checkpoint: Checkpoint, target: Path) -> None:
    """Write the aligned tower with the prompt features and logit scale of the CLIP it was made from."""
    tensors = {
        f"visual.{name}": value.cpu().contiguous() for name, value in aligned.visual.state_dict().items()
    }
    tensors[PROMPTS_FEATURES] = torch.stack([*prompts.values()])
    tensors["logit_scale"] = torch.tensor(checkpoint.logit_scale)
    metadata = {"prompts": json.dumps([*prompts])}
    if isinstance(checkpoint.architecture, TimmTower):
        metadata[timm_tower.METADATA_KEY] = checkpoint.architecture.as_json()
    save_file(tensors, target, metadata)
