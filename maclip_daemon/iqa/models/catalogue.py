"""The catalogue of models: which weights exist, under which licence, and how a name becomes a file.

Needs no torch, so that `maclip models` answers at once. `iqa.models.loading` makes an encoder of a resolved
model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.files.paths import expanded
from maclip_daemon.iqa.models import installed_models, open_clip_weights
from maclip_daemon.iqa.models.installed_models import InstalledModel

DEFAULT_PROTOCOL = "spaq448"  # the authors' own for phone photos: five views whatever the camera
_PREFERRED = "rn50-openai"  # the encoder of the MA-CLIP paper
_OPENAI = "https://openaipublic.azureedge.net/clip/models"
_ARCHITECTURE_AND_TAG = re.compile(r"[\w.+-]+/[\w.+-]+")
BUILTIN_WEIGHTS = Path(__file__).with_name("builtin.safetensors")


@dataclass(frozen=True)
class CatalogueEntry:
    """A model that has a name of its own in this program."""

    name: str
    description: str
    licence: str
    licence_url: str
    origin: str
    """Who made the weights."""
    megabytes: int
    """Size of the file, rounded."""
    protocol: str = DEFAULT_PROTOCOL
    """The protocol that `--protocol auto` takes for it."""
    sha256: str | None = None
    """Of the authors' file; None where they publish none."""
    url: str | None = None
    """Where `maclip models pull` fetches it; None: it must be imported."""
    licence_must_be_accepted: bool = False
    """Its licence forbids some uses (commercial ones): it is shown and accepted before an import."""


def _openai(name: str, file_name: str, sha256: str, megabytes: int, description: str) -> CatalogueEntry:
    return CatalogueEntry(
        name=name,
        description=description,
        licence="MIT",
        licence_url="https://github.com/openai/CLIP/blob/main/LICENSE",
        origin="OpenAI CLIP (arXiv 2103.00020)",
        megabytes=megabytes,
        sha256=sha256,
        # OpenAI puts the SHA-256 of the file into its address.
        url=f"{_OPENAI}/{sha256}/{file_name}",
    )


CATALOGUE: Mapping[str, CatalogueEntry] = {
    entry.name: entry
    for entry in (
        CatalogueEntry(
            name="builtin",
            description="The small model inside this package, for machines without a network.",
            licence="GPL-3.0-or-later",
            licence_url="https://www.gnu.org/licenses/gpl-3.0.html",
            origin="maclip-daemon",
            megabytes=8,
        ),
        _openai(
            "rn50-openai",
            "RN50.pt",
            "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
            256,
            "CLIP ResNet-50, the encoder of the MA-CLIP and CLIP-IQA papers.",
        ),
        _openai(
            "rn101-openai",
            "RN101.pt",
            "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
            292,
            "CLIP ResNet-101.",
        ),
        _openai(
            "vit-b-32-openai",
            "ViT-B-32.pt",
            "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
            354,
            "CLIP vision transformer B/32.",
        ),
        _openai(
            "vit-l-14-openai",
            "ViT-L-14.pt",
            "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
            933,
            "CLIP vision transformer L/14.",
        ),
        CatalogueEntry(
            name="qualiclip-rn50",
            description="QualiCLIP's quality-aware ResNet-50 and its prompt features. Non-commercial.",
            licence="CC BY-NC 4.0",
            licence_url="https://creativecommons.org/licenses/by-nc/4.0/",
            origin="QualiCLIP (arXiv 2403.11176), github.com/miccunifi/QualiCLIP, qualiclip.pth",
            megabytes=410,
            licence_must_be_accepted=True,
        ),
    )
}


@dataclass(frozen=True)
class ResolvedModel:
    """A model name turned into a file, or a name of open_clip, that can be loaded."""

    name: str
    """As it is stored with every score; it identifies the weights."""
    protocol: str
    """What `--protocol auto` means for this model."""
    path: Path | None = None
    """The checkpoint file."""
    open_clip: tuple[str, str] | None = None
    """Architecture and tag, for models that open_clip keeps itself."""
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Metric → shipped reference edges of 2, 3, 4 and 5 stars at the model's own protocol."""


def resolve(name: str, data_dir: Path) -> ResolvedModel:
    """Return the weights of `auto`, a catalogue or imported name, `file:PATH`, or open_clip's `ARCH/TAG`.

    `auto` is `rn50-openai` where the published file is installed, else `builtin`. Downloads nothing. Raises
    `UsageError` for an unknown name and `ModelUnavailable` for weights that are missing or damaged.
    """
    check_name(name, data_dir)
    installed = installed_models.installed(data_dir)
    if name == "auto":
        preferred = installed.get(_PREFERRED)
        name = _PREFERRED if preferred is not None and preferred.verified else "builtin"
    if name.startswith("file:"):
        return _resolve_file(expanded(name.removeprefix("file:")))
    if name == "builtin":
        return resolve_builtin()
    if name in installed:
        return _resolve_installed(installed[name])
    if name in CATALOGUE:
        entry = CATALOGUE[name]
        cure = (
            f"`maclip models pull {name}` fetches it ({entry.megabytes} MB)"
            if entry.url
            else f"Get it from {entry.origin}, then run `maclip models import FILE --name {name}`"
        )
        raise ModelUnavailable(f"The model {name} is not on this machine. {cure}.")
    architecture, _, tag = name.partition("/")
    open_clip_weights.require_fetched(architecture, tag, data_dir)
    return ResolvedModel(name, DEFAULT_PROTOCOL, open_clip=(architecture, tag))


def check_name(name: str, data_dir: Path) -> None:
    """Raise `UsageError` for an unknown name. The weights of a known one may be missing."""
    installed = installed_models.installed(data_dir)
    if name == "auto" or name in CATALOGUE or name in installed or name.startswith("file:"):
        return
    if _ARCHITECTURE_AND_TAG.fullmatch(name):
        open_clip_weights.require_known(*name.split("/"))
        return
    known = ", ".join(dict.fromkeys([*CATALOGUE, *installed]))
    raise UsageError(
        f"There is no model {name!r}. Choose auto, {known}, file:PATH, or an open_clip ARCHITECTURE/TAG."
    )


def _resolve_installed(model: InstalledModel) -> ResolvedModel:
    """Return an installed model; raise `ModelUnavailable` for a file that changed since it was installed."""
    if installed_models.sha256_of(model.path) != model.sha256:
        raise ModelUnavailable(
            f"{model.path} is damaged: its SHA-256 is not that of the installed {model.name}. "
            "Pull or import it again."
        )
    stored_name = model.name if model.verified else f"{model.name}@{model.sha256[:8]}"
    return ResolvedModel(stored_name, protocol_of(model), model.path)


def protocol_of(model: InstalledModel) -> str:
    """Return the protocol of an installed model under `--protocol auto`, from the catalogue or the file."""
    entry = CATALOGUE.get(model.name)
    return entry.protocol if entry else _protocol_in(model.path) or DEFAULT_PROTOCOL


def resolve_builtin(weights: Path = BUILTIN_WEIGHTS) -> ResolvedModel:
    """Return the built-in model as its card `builtin.json` describes it.

    Raises `ModelUnavailable` when this installation has none, or not the one that its card describes.
    """
    card = builtin_card(weights)
    if card is None:
        raise ModelUnavailable(
            "This installation has no built-in model. `maclip models pull rn50-openai` fetches the model of "
            "the MA-CLIP paper; --model file:PATH takes any CLIP checkpoint."
        )
    if installed_models.sha256_of(weights) != card["sha256"]:
        raise ModelUnavailable(
            f"{weights} is not the built-in model it should be. Install maclip-daemon again."
        )
    edges = {metric: tuple(values) for metric, values in card.get("edges", {}).items()}
    return ResolvedModel(f"builtin@{card['version']}", card["protocol"], weights, edges=edges)


def builtin_card(weights: Path = BUILTIN_WEIGHTS) -> Mapping[str, Any] | None:
    """Return the card `builtin.json` unchecked: `version`, `protocol`, `sha256`, `edges`.

    None: this installation has no built-in model.
    """
    card_path = weights.with_suffix(".json")
    if not weights.is_file() or not card_path.is_file():
        return None
    card: dict[str, Any] = json.loads(card_path.read_text(encoding="utf-8"))
    return card


def _resolve_file(path: Path) -> ResolvedModel:
    if path.is_dir():
        raise ModelUnavailable(f"The model file {path} is a folder. Name the file in it.")
    if not path.is_file():
        raise ModelUnavailable(f"The model file {path} does not exist. Check --model, or the model setting.")
    name = f"file:{path.name}@{installed_models.sha256_of(path)[:8]}"
    return ResolvedModel(name, _protocol_in(path) or DEFAULT_PROTOCOL, path)


def _protocol_in(path: Path) -> str | None:
    """Return the protocol named in a safetensors header (8 bytes of length, then JSON), if any."""
    with path.open("rb") as file:
        start = file.read(9)
        if start[8:] != b"{":
            return None
        length = int.from_bytes(start[:8], "little")
        if length > 100_000_000:  # the format's own limit
            return None
        try:
            header = json.loads(b"{" + file.read(length - 1))
        except ValueError:
            return None
    protocol = header.get("__metadata__", {}).get("protocol")
    return protocol if isinstance(protocol, str) else None
