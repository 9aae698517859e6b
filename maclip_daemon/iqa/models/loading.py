"""A resolved model and a metric → what scores photos: the encoder, the prompt features, the logit scale."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa.encoder import Encoder, Precision
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import open_clip_weights, timm_tower
from maclip_daemon.iqa.models.architecture import build_visual_tower
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.checkpoints import load_checkpoint
from maclip_daemon.iqa.models.prompt_features import prompt_features
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import texts
from maclip_daemon.iqa.protocols import VIEW_SIZE
from maclip_daemon.iqa.views import Normalisation

# Blocks of a timm tower that stay in fp32: nearly all that bf16 does to the scores, it does to the pixels and
# their first edges. The built-in model's largest difference falls from 0.023 to 0.008 (docs/performance.md).
EXACT_BLOCKS = 2


@dataclass(frozen=True)
class LoadedModel:
    """Everything that judging needs beside the metric itself."""

    encoder: Encoder
    prompts: Tensor | None
    """[2P, D] of length one, for the metric's pairs; None when it has none."""
    logit_scale: float
    """Before exp."""


def load(
    model: ResolvedModel,
    metric: Metric,
    data_dir: Path,
    *,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
) -> LoadedModel:
    """Load a model's image tower to a device and compute the metric's prompt features, once.

    Raises `ModelUnavailable` when the weights are missing, damaged, or do not know the prompts.
    """
    if model.open_clip is not None:
        return _load_from_open_clip(model.open_clip, metric, data_dir, device, precision)
    assert model.path is not None
    checkpoint = load_checkpoint(model.path)
    prompts = prompt_features(checkpoint, metric.pairs)
    described = checkpoint.architecture
    if isinstance(described, TimmTower):
        loaded = timm_tower.load(described, checkpoint.state, checkpoint.origin)
        if precision == "fp32":
            encoder = Encoder(loaded, device=device, any_size=True)
        else:
            beginning, rest = timm_tower.halves(loaded, EXACT_BLOCKS)
            encoder = Encoder(rest, device=device, precision=precision, any_size=True, beginning=beginning)
    else:
        tower: nn.Module = build_visual_tower(described, checkpoint.state, checkpoint.origin)
        encoder = Encoder(tower, device=device, precision=precision)
    return LoadedModel(encoder, prompts, checkpoint.logit_scale)


@torch.inference_mode()
def _load_from_open_clip(
    name: tuple[str, str], metric: Metric, data_dir: Path, device: torch.device | str, precision: Precision
) -> LoadedModel:
    import open_clip  # heavy, and only these models need all of it

    architecture, tag = name
    if (architecture, tag) not in open_clip.list_pretrained():
        raise UsageError(f"open_clip has no weights {tag!r} for {architecture!r}.")
    cache = open_clip_weights.cache_dir(data_dir)
    try:
        with _without_downloads(open_clip.get_pretrained_cfg(architecture, tag), cache):
            model = open_clip.create_model(
                architecture, pretrained=tag, cache_dir=str(cache), force_image_size=VIEW_SIZE
            )
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelUnavailable(
            f"{architecture}/{tag} is not on this machine. "
            f"`maclip models pull {architecture}/{tag}` fetches it."
        ) from error
    prompts = None
    if metric.pairs:
        tokens = open_clip.get_tokenizer(architecture)(list(texts(metric.pairs)))
        prompts = torch.nn.functional.normalize(model.encode_text(tokens).float(), dim=-1)
    normalisation = Normalisation(tuple(model.visual.image_mean), tuple(model.visual.image_std))
    encoder = Encoder(model.visual, device=device, precision=precision, normalisation=normalisation)
    return LoadedModel(encoder, prompts, float(model.logit_scale.detach()))


def pull_from_open_clip(architecture: str, tag: str, data_dir: Path) -> None:
    """Fetch the weights of an open_clip `ARCH/TAG` into the store; open_clip shows its own progress.

    Raises `UsageError` for weights that open_clip does not know, `ModelUnavailable` when fetching fails.
    """
    open_clip_weights.check(architecture, tag)
    import open_clip

    try:
        configuration = open_clip.get_pretrained_cfg(architecture, tag)
        open_clip.download_pretrained(configuration, cache_dir=str(open_clip_weights.cache_dir(data_dir)))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelUnavailable(
            f"{architecture}/{tag} cannot be fetched ({str(error).splitlines()[0]}). Check the network."
        ) from None


@contextlib.contextmanager
def _without_downloads(configuration: Mapping[str, Any], cache: Path) -> Iterator[None]:
    """Keep open_clip from fetching by itself: a daemon must not start a download of gigabytes unasked."""
    from huggingface_hub import constants

    url = configuration.get("url")
    if not configuration.get("hf_hub") and url and not (cache / Path(url).name).is_file():
        raise FileNotFoundError("it was never fetched")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
