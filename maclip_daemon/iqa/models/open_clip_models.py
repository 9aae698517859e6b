"""The models that open_clip knows as `ARCH/TAG`: fetched and loaded by it. Importing this is slow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import nn

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.encoder import Encoder, Precision, ViewFormat
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import installing, open_clip_weights
from maclip_daemon.iqa.models.architecture import read_architecture
from maclip_daemon.iqa.models.building import build_visual_tower
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.prompts import texts
from maclip_daemon.iqa.towers.resnet_tower import ResNetTower
from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.iqa.views import Normalisation


@torch.inference_mode()
def load(
    name: tuple[str, str], metric: Metric, data_dir: Path, device: torch.device | str, precision: Precision
) -> LoadedModel:
    """Load an architecture with the weights of this tag, and compute the metric's prompt features.

    Raises `UsageError` for weights that open_clip does not know, `ModelUnavailable` when they are not here.
    """
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
    tower = _tower_of(model.visual, f"{architecture}/{tag}")
    takes = ViewFormat(normalisation, any_size=isinstance(tower, ResNetTower))
    encoder = Encoder(tower, device=device, precision=precision, takes=takes)
    return LoadedModel(encoder, prompts, float(model.logit_scale.detach()))


def _tower_of(visual: nn.Module, origin: str) -> nn.Module:
    """Return an image tower for the encoder: OpenAI's ResNets as modules of this program."""
    if not isinstance(visual, ModifiedResNet):
        return visual
    state = {f"visual.{name}": value for name, value in visual.state_dict().items()}
    return build_visual_tower(read_architecture(state, origin), state, origin)


def pull(architecture: str, tag: str, data_dir: Path) -> None:
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
