"""Checkpoint files → weights: state dicts, TorchScript archives and safetensors.

No pickled code is run. A file that cannot be read is explained in words of this program: the libraries speak
of their insides.
"""

from __future__ import annotations

import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.fusion import Fusion, read_fusion
from maclip_daemon.iqa.models import file_limits, timm_tower, torchscript
from maclip_daemon.iqa.models.architecture import Architecture, read_architecture
from maclip_daemon.iqa.models.timm_tower import TimmTower
from maclip_daemon.iqa.prompts import QUALICLIP_PAIRS, texts

_WRAPPERS = ("state_dict", "model")  # keys under which training programs keep the weights
_PREFIXES = ("module.", "clip_model.", "model.")  # clip_model.: QualiCLIP's checkpoint
_DEFAULT_LOGIT_SCALE = 4.605170185988092  # ln 100, where CLIP's training clips it
PROMPTS_FEATURES = "prompts_features"
TILE_PROMPTS_FEATURES = "detail_prompts_features"  # rows as above, for tiles
LOCAL_PROMPTS_FEATURES = "local_prompts_features"  # the same for the local tower
_NAMED_CODE = re.compile(r"GLOBAL ([\w.]*\w)")  # in torch's refusal
_ZIP = b"PK\x03\x04"
# torch.save before version 1.6: a pickle of the number 0x1950a86a20f9469cfc6c
_OLD_STATE_DICT = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
_LONGEST_HEADER = 100_000_000  # bytes; the limit of the safetensors format
_NO_MODEL_FILE = "is not a model file (neither TorchScript, a state dict, nor safetensors)"


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a CLIP in OpenAI's layout, as they were stored."""

    origin: str
    """The file, for errors."""
    state: Mapping[str, Tensor]
    architecture: Architecture | TimmTower
    logit_scale: float
    """CLIP's, before exp."""
    stored_prompts: Mapping[str, Tensor]
    """Prompt → its feature [D]; empty for checkpoints that store no prompt features."""
    tile_prompts: Mapping[str, Tensor] = field(default_factory=dict)
    """The same for tiles; empty for checkpoints that judge them as other views."""
    local_prompts: Mapping[str, Tensor] = field(default_factory=dict)
    """The same for the local tower; empty for checkpoints without one."""
    fusion: Fusion | None = None
    """How the overall and the detail cue become the score, where that was fitted."""


def load_checkpoint(path: Path) -> Checkpoint:
    """Return the weights in safetensors, a state dict (`weights_only`), or OpenAI's TorchScript archive.

    Raises `ModelUnavailable` when the file is missing, damaged, no CLIP, or would need code to run.
    """
    if path.is_dir():
        raise ModelUnavailable(f"The model file {path} is a folder. Name the file in it.")
    if not path.is_file():
        raise ModelUnavailable(f"The model file {path} does not exist. Check --model, or the model setting.")
    metadata: Mapping[str, str] = {}
    try:
        if zipfile.is_zipfile(path):
            file_limits.require_plausible_archive(path)
        if _is_safetensors(path):
            with safe_open(path, framework="pt") as file:
                raw = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                metadata = file.metadata() or {}
        elif torchscript.is_archive(path):
            raw = torchscript.read_state(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of pickle protocols; what matters is raised
                raw = _unwrap(torch.load(path, map_location="cpu", weights_only=True), path)
        file_limits.require_plausible_tensors(raw, path)
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
        RecursionError,
        MemoryError,
        SafetensorError,
        zipfile.BadZipFile,
    ) as error:
        # torch's reader fails in many ways on bytes that are no pickle (IndexError, KeyError, …).
        named = _NAMED_CODE.search(str(error))
        if named is not None:
            raise ModelUnavailable(
                f"{path} is not a plain set of weights: it names {named[1]}, and code inside a model "
                "file is never run. Save its state dict as safetensors."
            ) from None
        raise ModelUnavailable(f"{path} {what_is_wrong(path)}. Check the file, or fetch it again.") from None
    return checkpoint_of(raw, str(path), metadata)


def checkpoint_of(
    raw: Mapping[str, Tensor], origin: str, metadata: Mapping[str, str] | None = None
) -> Checkpoint:
    """Return the checkpoint made of tensors in memory.

    `metadata` may hold `prompts`, a JSON list of the prompts whose features [rows, D] are stored, the
    description of a timm tower, and a fusion. Raises `ModelUnavailable` for tensors that are no CLIP.
    """
    every = PROMPTS_FEATURES, TILE_PROMPTS_FEATURES, LOCAL_PROMPTS_FEATURES
    rows = {name: raw[name] for name in every if name in raw}
    state = _without_prefix({key: value for key, value in raw.items() if key not in rows})
    architecture = timm_tower.describe(metadata or {}, origin) or read_architecture(state, origin)
    named = {name: _name_rows(values, metadata or {}, origin) for name, values in rows.items()}
    scale = state.get("logit_scale")
    return Checkpoint(
        origin=origin,
        state=state,
        architecture=architecture,
        logit_scale=_DEFAULT_LOGIT_SCALE if scale is None else float(scale.detach()),
        stored_prompts=named.get(PROMPTS_FEATURES, {}),
        tile_prompts=named.get(TILE_PROMPTS_FEATURES, {}),
        local_prompts=named.get(LOCAL_PROMPTS_FEATURES, {}),
        fusion=read_fusion(metadata or {}, origin),
    )


def _name_rows(rows: Tensor, metadata: Mapping[str, str], origin: str) -> dict[str, Tensor]:
    # QualiCLIP's own checkpoint names no prompts: its rows are its seven pairs in the published order.
    try:
        names = json.loads(metadata["prompts"]) if "prompts" in metadata else list(texts(QUALICLIP_PAIRS))
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelUnavailable(f"The prompts named in {origin} cannot be read. Fetch the file again.")
    if rows.ndim != 2 or len(names) != len(rows):
        raise ModelUnavailable(f"{origin} stores {len(rows)} prompt features for {len(names)} prompts.")
    return {name: row.float() for name, row in zip(names, rows, strict=True)}


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # eight bytes of length, then a JSON header


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


def what_is_wrong(path: Path) -> str:
    """Return the rest of a sentence that begins with the file: `is cut off`, `is not a model file (…)`, ….

    Raises `OSError` when the file cannot be opened.
    """
    with path.open("rb") as file:
        start = file.read(max(len(_OLD_STATE_DICT), 9))
    if not start:
        return "is empty"
    if start.startswith(_ZIP):
        return _what_is_wrong_with_zip(path)
    if start.startswith(_OLD_STATE_DICT):
        return "is damaged or cut off"
    if start[8:9] == b"{":
        wrong = _what_is_wrong_with_safetensors(path)
        if wrong is not None:
            return wrong
    return _NO_MODEL_FILE


def _what_is_wrong_with_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):  # its directory is at the end of the file
        return "is cut off"
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        return "is damaged"
    if not any(name.endswith("/data.pkl") for name in names):
        return _NO_MODEL_FILE
    return "is damaged"


def _what_is_wrong_with_safetensors(path: Path) -> str | None:
    """Return what is wrong with eight bytes of length, a JSON header, then tensors; None for another file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            return None
        if 8 + length > size:
            return "is cut off"
        try:
            header = json.loads(file.read(length))
            tensors = [entry for name, entry in header.items() if name != "__metadata__"]
            end = max((int(entry["data_offsets"][1]) for entry in tensors), default=0)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return "is damaged"
    return "is cut off" if 8 + length + end > size else "is damaged"
