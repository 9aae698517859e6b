"""Loading: a resolved model and a metric → the encoder, the prompt features, the logit scale."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.encoder import Encoder, Precision, ViewFormat
from maclip_daemon.iqa.fusion import Fusion
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import installing, local_tower, open_clip_weights, timm_tower
from maclip_daemon.iqa.models.architecture import build_text_tower, build_visual_tower
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.checkpoints import Checkpoint, load_checkpoint
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import PromptPair, texts
from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.iqa.views import Normalisation

# Blocks of a timm tower that stay in fp32: nearly all that bf16 does to the scores, it does to the pixels and
# their first edges. The built-in model's largest difference falls from 0.023 to 0.008 (docs/performance.md).
EXACT_BLOCKS = 2


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory with the prompt features of one metric."""

    encoder: Encoder
    prompts: Tensor | None
    """[2P, D] of length one, for the metric's pairs; None when it has none."""
    logit_scale: float
    """CLIP's, before exp."""
    tile_prompts: Tensor | None = None
    """As `prompts`, for tiles; None: the same."""
    local_encoder: Encoder | None = None
    """A second, small one that judges tiles too; None: the model has none."""
    local_prompts: Tensor | None = None
    """As `prompts`, for `local_encoder`."""
    fusion: Fusion | None = None


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
        return _load_from_open_clip(model.open_clip, metric, data_dir, device, precision)
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
    beginning, rest = timm_tower.halves(loaded, EXACT_BLOCKS)
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


@torch.inference_mode()
def _load_from_open_clip(
    name: tuple[str, str], metric: Metric, data_dir: Path, device: torch.device | str, precision: Precision
) -> LoadedModel:
    architecture, tag = name
    open_clip_weights.require_known(architecture, tag)
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
    takes = ViewFormat(normalisation, any_size=isinstance(model.visual, ModifiedResNet))
    encoder = Encoder(model.visual, device=device, precision=precision, takes=takes)
    return LoadedModel(encoder, prompts, float(model.logit_scale.detach()))


def pull_from_open_clip(architecture: str, tag: str, data_dir: Path) -> None:
    """Fetch the weights of an open_clip `ARCH/TAG` into the model folder; open_clip shows its own progress.

    Raises `UsageError` for weights that open_clip does not know, `ModelUnavailable` when fetching fails.
    """
    open_clip_weights.require_known(architecture, tag)
    try:
        configuration = open_clip.get_pretrained_cfg(architecture, tag)
        open_clip.download_pretrained(configuration, cache_dir=str(open_clip_weights.cache_dir(data_dir)))
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelUnavailable(
            f"{architecture}/{tag} cannot be fetched: {installing.network_problem(error)}. "
            f"Run `maclip models pull {architecture}/{tag}` again later."
        ) from None


@contextlib.contextmanager
def _without_downloads(configuration: Mapping[str, Any], cache: Path) -> Iterator[None]:
    """Keep open_clip from fetching: a daemon must not start a download of gigabytes unasked."""
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
