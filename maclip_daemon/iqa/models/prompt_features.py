"""Prompts → prompt features: from the checkpoint where it stores them, else from its text tower, once."""

from __future__ import annotations

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.models.architecture import build_text_tower
from maclip_daemon.iqa.models.checkpoints import Checkpoint
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import PromptPair, texts


@torch.inference_mode()
def prompt_features(checkpoint: Checkpoint, pairs: tuple[PromptPair, ...]) -> Tensor | None:
    """The features of the prompts, [2P, D] of length one in the order good, bad; None without pairs.

    Raises `ModelUnavailable` when the checkpoint neither stores them nor has a text tower.
    """
    if not pairs:
        return None
    prompts = texts(pairs)
    if all(prompt in checkpoint.stored_prompts for prompt in prompts):
        features = torch.stack([checkpoint.stored_prompts[prompt] for prompt in prompts])
    elif isinstance(checkpoint.architecture, TimmTower) or checkpoint.architecture.text_width is None:
        known = ", ".join(checkpoint.stored_prompts) or "none"
        raise ModelUnavailable(
            f"{checkpoint.origin} has no text tower, so it knows only its stored prompts ({known}). "
            "Choose another metric, or a model with a text tower."
        )
    else:
        tower = build_text_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin)
        tokenizer = SimpleTokenizer(context_length=checkpoint.architecture.context)
        features = tower(tokenizer(list(prompts)))
    return torch.nn.functional.normalize(features.float(), dim=-1)
