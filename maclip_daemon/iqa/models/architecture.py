"""The architecture of a CLIP, read from the shapes of its weights, and its towers built by open_clip.

The layout is OpenAI's (arXiv 2103.00020, released code): `visual.` is a ModifiedResNet or a vision
transformer; the other names are the text tower.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from open_clip.model import resize_pos_embed
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import QuickGELU, TextTransformer, VisionTransformer
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.view_size import VIEW_SIZE

_HEAD_WIDTH = 64  # dimensions of an attention head in every CLIP of OpenAI; the shapes do not tell


@dataclass(frozen=True)
class Architecture:
    """The dimensions of a CLIP."""

    embedding: int
    width: int
    layers: tuple[int, ...]
    """Blocks of the four stages of a ModifiedResNet, or the one number of a transformer."""
    patch: int | None
    """Pixels of a transformer's patch side; None: a ModifiedResNet."""
    grid: int
    """Positions of a side that the positional embedding covers."""
    text_width: int | None
    """None: the checkpoint has no text tower."""
    text_layers: int = 0
    context: int = 0
    vocabulary: int = 0


def read_architecture(state: Mapping[str, Tensor], origin: str) -> Architecture:
    """Return the architecture of a state dict; `origin` names its file in errors.

    Raises `ModelUnavailable` for weights that are not a CLIP in OpenAI's layout.
    """
    try:
        has_text = "token_embedding.weight" in state
        text = (
            {
                "text_width": state["ln_final.weight"].shape[0],
                "text_layers": _count_blocks(state, "transformer.resblocks.", 2),
                "context": state["positional_embedding"].shape[0],
                "vocabulary": state["token_embedding.weight"].shape[0],
            }
            if has_text
            else {"text_width": None}
        )
        if "visual.proj" in state:
            return Architecture(
                embedding=state["visual.proj"].shape[1],
                width=state["visual.conv1.weight"].shape[0],
                layers=(_count_blocks(state, "visual.transformer.resblocks.", 3),),
                patch=state["visual.conv1.weight"].shape[-1],
                grid=round((len(state["visual.positional_embedding"]) - 1) ** 0.5),
                **text,
            )
        return Architecture(
            embedding=state["visual.attnpool.c_proj.weight"].shape[0],
            width=state["visual.layer1.0.conv1.weight"].shape[0],
            layers=tuple(_count_blocks(state, f"visual.layer{stage}.", 2) for stage in range(1, 5)),
            patch=None,
            grid=round((len(state["visual.attnpool.positional_embedding"]) - 1) ** 0.5),
            **text,
        )
    except (KeyError, IndexError) as error:
        raise ModelUnavailable(
            f"{origin} is not a CLIP in OpenAI's layout: it has no {error}. "
            "Choose a CLIP checkpoint with a ModifiedResNet or a vision transformer."
        ) from None


def build_visual_tower(
    architecture: Architecture, state: Mapping[str, Tensor], origin: str
) -> ModifiedResNet | VisionTransformer:
    """Return the image tower with its weights in fp32, for inference on views of 224 pixels.

    Raises `ModelUnavailable` when a weight is missing or has another shape.
    """
    tower: ModifiedResNet | VisionTransformer
    weights = {key: value for key, value in state.items() if key.startswith("visual.")}
    with torch.device("meta"):  # every weight is replaced: none needs to be drawn first
        if architecture.patch is None:
            tower = ModifiedResNet(
                layers=list(architecture.layers),
                output_dim=architecture.embedding,
                heads=architecture.width * 32 // _HEAD_WIDTH,
                image_size=architecture.grid * 32,
                width=architecture.width,
            )
        else:
            tower = VisionTransformer(
                image_size=VIEW_SIZE,
                patch_size=architecture.patch,
                width=architecture.width,
                layers=architecture.layers[0],
                heads=architecture.width // _HEAD_WIDTH,
                mlp_ratio=4.0,
                output_dim=architecture.embedding,
                act_layer=QuickGELU,
            )
    if architecture.patch is not None:
        resize_pos_embed(weights, SimpleNamespace(visual=tower))  # for a model with its tower under `visual`
    _fill(tower, weights, "visual.", origin)
    return tower


def build_text_tower(architecture: Architecture, state: Mapping[str, Tensor], origin: str) -> TextTransformer:
    """Return the text tower with its weights in fp32. The architecture must have one.

    Raises `ModelUnavailable` when a weight is missing or has another shape.
    """
    assert architecture.text_width is not None
    tower = TextTransformer(
        context_length=architecture.context,
        vocab_size=architecture.vocabulary,
        width=architecture.text_width,
        heads=max(1, architecture.text_width // _HEAD_WIDTH),
        layers=architecture.text_layers,
        output_dim=architecture.embedding,
        act_layer=QuickGELU,
    )
    _fill(tower, state, "", origin)
    return tower


def _fill(tower: nn.Module, state: Mapping[str, Tensor], prefix: str, origin: str) -> None:
    """Load every weight of the tower, and no other. Raises `ModelUnavailable` for one that does not fit."""
    needed = tower.state_dict()
    weights = {}
    for name, place in needed.items():
        value = state.get(f"{prefix}{name}")
        if value is None and name.endswith("num_batches_tracked"):
            value = torch.zeros(())  # counts training steps; exports leave it out
        if value is None or value.shape != place.shape:
            found = "missing" if value is None else f"{tuple(value.shape)} instead of {tuple(place.shape)}"
            raise ModelUnavailable(f"{origin} is not a complete CLIP: {prefix}{name} is {found}.")
        weights[name] = value.to(place.dtype)
    tower.load_state_dict(weights, assign=True)
    tower.eval().requires_grad_(False)


def _count_blocks(state: Mapping[str, Tensor], prefix: str, position: int) -> int:
    blocks = {key.split(".")[position] for key in state if key.startswith(prefix)}
    if not blocks:
        raise KeyError(prefix)
    return len(blocks)
