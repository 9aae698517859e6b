"""The architecture of a CLIP, read from the shapes of its weights.

The layout is OpenAI's (arXiv 2103.00020, released code): `visual.` is a ModifiedResNet or a vision
transformer; the other names are the text tower.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from maclip_daemon.errors import ModelUnavailable

HEAD_WIDTH = 64  # dimensions of an attention head in every CLIP of OpenAI; the shapes do not tell


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
    found = _read(state, origin)
    if min(found.embedding, found.width, found.grid) < 1:
        raise ModelUnavailable(f"{origin} is not a complete CLIP: some of its weights are empty.")
    return found


def _read(state: Mapping[str, Tensor], origin: str) -> Architecture:
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
                grid=_grid_of(state["visual.positional_embedding"]),
                **text,
            )
        return Architecture(
            embedding=state["visual.attnpool.c_proj.weight"].shape[0],
            width=state["visual.layer1.0.conv1.weight"].shape[0],
            layers=tuple(_count_blocks(state, f"visual.layer{stage}.", 2) for stage in range(1, 5)),
            patch=None,
            grid=_grid_of(state["visual.attnpool.positional_embedding"]),
            **text,
        )
    except (KeyError, IndexError) as error:
        raise ModelUnavailable(
            f"{origin} is not a CLIP in OpenAI's layout: it has no {error}. "
            "Choose a CLIP checkpoint with a ModifiedResNet or a vision transformer."
        ) from None


def _grid_of(positions: Tensor) -> int:
    """Return the side of the square that the positions are, but for the first."""
    return round(math.sqrt(max(0, positions.shape[0] - 1)))


def _count_blocks(state: Mapping[str, Tensor], prefix: str, position: int) -> int:
    blocks = {key.split(".")[position] for key in state if key.startswith(prefix)}
    if not blocks:
        raise KeyError(prefix)
    return len(blocks)
