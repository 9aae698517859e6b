"""The weights that open_clip knows as `ARCH/TAG`, and those of them that are on this machine. Needs no torch.

Importing open_clip loads torch. Where nothing has imported it yet, a short child process asks for the list.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa.models import installed_models

_LIST_TIMEOUT_S = 300.0  # for a child to import open_clip and torch, from a cold disk, on a busy machine
_HUB_FILE = "open_clip_pytorch_model.bin"  # where an address on the hub names no file
_SAFE_HUB_FILE = "open_clip_model.safetensors"

# The hub's cache calls a file by the SHA-256 of its content; OpenAI puts it into the address.
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WeightsAddress:
    """Where open_clip fetches some weights."""

    url: str
    hub: str
    """`organisation/repository/file` on the Hugging Face hub, the file may be missing; it goes first."""


def require_known(architecture: str, tag: str) -> None:
    """Raise `UsageError` with near matches for weights that open_clip does not know.

    Passes every name where open_clip cannot list its weights: loading them then fails with the reason.
    """
    known = known_weights()
    if not known or (architecture, tag) in known:
        return
    tags = [known_tag for known_architecture, known_tag in known if known_architecture == architecture]
    if tags:
        names = [f"{architecture}/{near}" for near in _near(tag, tags) or tags]
        raise UsageError(f"open_clip has no weights {tag!r} for {architecture}. It has {', '.join(names)}.")
    near = _near(architecture, list(dict.fromkeys(known_architecture for known_architecture, _ in known)))
    meant = f"Did you mean {' or '.join(near)}?" if near else "A file is named file:PATH."
    raise UsageError(f"open_clip has no weights for an architecture {architecture!r}. {meant}")


def require_fetched(architecture: str, tag: str, data_dir: Path) -> None:
    """Raise `ModelUnavailable` for known weights that were never fetched, or whose file is damaged."""
    address = known_weights().get((architecture, tag))
    if address is None:
        return
    cure = f"`maclip models pull {architecture}/{tag}` fetches it"
    path = _fetched_file(address, cache_dir(data_dir))
    if path is None:
        raise ModelUnavailable(f"The model {architecture}/{tag} is not on this machine. {cure}.")
    published = _SHA256.fullmatch(path.resolve().name if address.hub else address.url.split("/")[-2])
    if published is not None and installed_models.sha256_of(path) != published[0]:
        raise ModelUnavailable(
            f"{path} is damaged: its SHA-256 is not the published one. Remove {path.resolve()}; then {cure}."
        )


def cache_dir(data_dir: Path) -> Path:
    """Return the folder where open_clip keeps the weights it fetched for this program."""
    return installed_models.models_dir(data_dir) / "open_clip"


@functools.cache
def known_weights() -> Mapping[tuple[str, str], WeightsAddress]:
    """Return (architecture, tag) → address of all weights; empty when open_clip cannot list them."""
    if "open_clip" in sys.modules:
        rows = _listed_by_open_clip()
    else:
        try:
            child = subprocess.run(
                [sys.executable, "-P", "-m", __name__],
                check=True,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_LIST_TIMEOUT_S,
            )
            rows = json.loads(child.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return {}
    return {(architecture, tag): WeightsAddress(url, hub) for architecture, tag, url, hub in rows}


def _listed_by_open_clip() -> list[tuple[str, str, str, str]]:
    """Return architecture, tag, URL and hub address of all weights. Imports torch."""
    import open_clip

    rows = []
    for architecture, tag in open_clip.list_pretrained():
        configuration = open_clip.get_pretrained_cfg(architecture, tag)
        rows.append((architecture, tag, configuration.get("url", ""), configuration.get("hf_hub", "")))
    return rows


def _near(word: str, known: Sequence[str]) -> list[str]:
    """Return known names that resemble a word, nearest first; capitals do not count."""
    lower = {name.lower(): name for name in known}
    return [lower[match] for match in difflib.get_close_matches(word.lower(), lower)]


def _fetched_file(address: WeightsAddress, cache: Path) -> Path | None:
    """Return the file that open_clip would load, looking where it looks first."""
    if not address.hub:
        path = cache / Path(address.url).name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    repository, _, name = address.hub.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not name:
        files: tuple[str, ...] = (_SAFE_HUB_FILE, _HUB_FILE)
    elif suffix in ("bin", "pth"):
        files = (f"{stem}{dot}safetensors", name)
    else:
        files = (name,)
    for file in files:
        found = try_to_load_from_cache(repository, file, cache_dir=cache)
        if isinstance(found, str):
            return Path(found)
    return None


if __name__ == "__main__":
    print(json.dumps(_listed_by_open_clip()))
