"""Checkpoint files → weights: state dicts, TorchScript archives and safetensors; no pickled code is run."""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.models import model_file_errors, timm_tower, torchscript
from maclip_daemon.iqa.models.architecture import Architecture, read_architecture
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import QUALICLIP_PAIRS, texts

_WRAPPERS = ("state_dict", "model")  # keys under which training programs keep the weights
_PREFIXES = ("module.", "clip_model.", "model.")  # clip_model.: QualiCLIP's checkpoint
_DEFAULT_LOGIT_SCALE = 4.605170185988092  # ln 100, where CLIP's training clips it
PROMPTS_FEATURES = "prompts_features"
_NAMED_CODE = re.compile(r"GLOBAL ([\w.]*\w)")  # in torch's refusal


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a CLIP in OpenAI's layout, as they were stored."""

    origin: str
    """The file, for errors."""
    state: Mapping[str, Tensor]
    architecture: Architecture | TimmTower
    logit_scale: float
    """Before exp."""
    stored_prompts: Mapping[str, Tensor]
    """Prompt → its feature [D], for checkpoints that bring prompt features along."""


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint: safetensors, a state dict (`weights_only`), or OpenAI's TorchScript archive.

    Raises `ModelUnavailable` when the file is missing, damaged, no CLIP, or would need code to run.
    """
    if not path.is_file():
        raise ModelUnavailable(_missing(path))
    metadata: Mapping[str, str] = {}
    try:
        if _is_safetensors(path):
            raw, metadata = _read_safetensors(path)
        elif torchscript.is_archive(path):
            raw = torchscript.read_state(path)
        else:
            raw = _unwrap(_read_state_dict(path), path)
    except OSError as error:
        raise ModelUnavailable(f"The model file {path} cannot be read: {error.strerror}.") from None
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        SafetensorError,
        zipfile.BadZipFile,
    ) as error:
        # Over bytes that are no pickle, torch's reader stumbles in many ways (IndexError, KeyError, …).
        named = _NAMED_CODE.search(str(error))
        if named is not None:
            raise ModelUnavailable(
                f"{path} is not a plain set of weights: it names {named[1]}, and code inside of a model "
                "file is never run. Save its state dict as safetensors."
            ) from None
        raise ModelUnavailable(
            f"{path} {model_file_errors.what_is_wrong(path)}. Check the file, or fetch it again."
        ) from None
    return checkpoint_of(raw, str(path), metadata)


def checkpoint_of(
    raw: Mapping[str, Tensor], origin: str, metadata: Mapping[str, str] | None = None
) -> Checkpoint:
    """A checkpoint from tensors in memory; `metadata` may hold `prompts`, a JSON list of the stored ones."""
    prompt_rows = raw.get(PROMPTS_FEATURES)
    state = _without_prefix({key: value for key, value in raw.items() if key != PROMPTS_FEATURES})
    scale = state.get("logit_scale")
    return Checkpoint(
        origin=origin,
        state=state,
        architecture=timm_tower.describe(metadata or {}, origin) or read_architecture(state, origin),
        logit_scale=_DEFAULT_LOGIT_SCALE if scale is None else float(scale.detach()),
        stored_prompts={} if prompt_rows is None else _name_rows(prompt_rows, metadata or {}, origin),
    )


def _name_rows(rows: Tensor, metadata: Mapping[str, str], origin: str) -> dict[str, Tensor]:
    # QualiCLIP's own checkpoint names no prompts: its rows are its seven pairs in the published order.
    names = json.loads(metadata["prompts"]) if "prompts" in metadata else list(texts(QUALICLIP_PAIRS))
    if rows.ndim != 2 or len(names) != len(rows):
        raise ModelUnavailable(f"{origin} stores {len(rows)} prompt features for {len(names)} prompts.")
    return {name: row.float() for name, row in zip(names, rows, strict=True)}


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"The model file {path} is a folder. Name the file in it."
    return f"The model file {path} does not exist. Check --model, or the model setting."


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # eight bytes of length, then a JSON header


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def _read_state_dict(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch speaks of pickle protocols; what matters is raised
        return torch.load(path, map_location="cpu", weights_only=True)


def _unwrap(loaded: object, path: Path) -> dict[str, Tensor]:
    for wrapper in _WRAPPERS:
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict):
        raise ModelUnavailable(f"{path} holds a {type(loaded).__name__}, not a state dict.")
    return {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}


def _without_prefix(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if any(key.startswith(f"{prefix}visual.") for key in state):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)
