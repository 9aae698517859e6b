"""open_clip's transformers, as image and text towers of a CLIP in OpenAI's layout. Importing this is slow."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from open_clip.model import resize_pos_embed
from open_clip.transformer import QuickGELU, TextTransformer, VisionTransformer
from torch import Tensor

from maclip_daemon.iqa.models.architecture import HEAD_WIDTH, Architecture
from maclip_daemon.iqa.view_size import VIEW_SIZE


def vision_transformer(architecture: Architecture, weights: dict[str, Tensor]) -> VisionTransformer:
    """Return an image tower without weights; those under `visual.` get positions for 224 pixels, in place."""
    assert architecture.patch is not None
    with torch.device("meta"):
        tower = VisionTransformer(
            image_size=VIEW_SIZE,
            patch_size=architecture.patch,
            width=architecture.width,
            layers=architecture.layers[0],
            heads=architecture.width // HEAD_WIDTH,
            mlp_ratio=4.0,
            output_dim=architecture.embedding,
            act_layer=QuickGELU,
        )
    resize_pos_embed(weights, SimpleNamespace(visual=tower))  # for a model with its tower under `visual`
    return tower


def text_transformer(architecture: Architecture) -> TextTransformer:
    """Return a text tower with random weights."""
    assert architecture.text_width is not None
    return TextTransformer(
        context_length=architecture.context,
        vocab_size=architecture.vocabulary,
        width=architecture.text_width,
        heads=max(1, architecture.text_width // HEAD_WIDTH),
        layers=architecture.text_layers,
        output_dim=architecture.embedding,
        act_layer=QuickGELU,
    )
