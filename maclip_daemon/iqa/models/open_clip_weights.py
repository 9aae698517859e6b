"""The weights that open_clip knows as `ARCH/TAG`, and those of them that are here. Needs no torch.

`import open_clip` loads torch, and a mistyped name must be found before that. So its table of weights is
read as text: the module `open_clip/pretrained.py` is parsed and never run.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa.models import installed_models

_TABLE = "_PRETRAINED"
_QUICK_GELU = "-quickgelu"  # open_clip adds these names itself, for weights marked `quick_gelu=True`
_HUB_FILE = "open_clip_pytorch_model.bin"  # where an address on the hub names no file
_SAFE_HUB_FILE = "open_clip_model.safetensors"

# The hub's cache calls a file by the SHA-256 of its content; OpenAI puts it into the address.
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Source:
    """Where open_clip fetches some weights."""

    url: str
    hub: str
    """`organisation/repository/file` on the Hugging Face hub, the file may be missing; it goes first."""


def check(architecture: str, tag: str) -> None:
    """Raise `UsageError` with near matches for weights that open_clip does not know.

    Says nothing where the table cannot be read: then open_clip itself answers, when it loads them.
    """
    known = table()
    if not known or (architecture, tag) in known:
        return
    tags = [known_tag for known_architecture, known_tag in known if known_architecture == architecture]
    if tags:
        names = [f"{architecture}/{near}" for near in _near(tag, tags) or tags]
        raise UsageError(f"open_clip has no weights {tag!r} for {architecture}. It has {', '.join(names)}.")
    near = _near(architecture, list(dict.fromkeys(known_architecture for known_architecture, _ in known)))
    meant = f"Did you mean {' or '.join(near)}?" if near else "A file is named file:PATH."
    raise UsageError(f"open_clip has no weights for an architecture {architecture!r}. {meant}")


def check_file(architecture: str, tag: str, data_dir: Path) -> None:
    """Raise `ModelUnavailable` for known weights that were never fetched, or whose file is damaged.

    Says nothing where open_clip's table cannot be read.
    """
    source = table().get((architecture, tag))
    if source is None:
        return
    cure = f"`maclip models pull {architecture}/{tag}` fetches it"
    path = _file(source, cache_dir(data_dir))
    if path is None:
        raise ModelUnavailable(f"The model {architecture}/{tag} is not on this machine. {cure}.")
    published = _SHA256.fullmatch(path.resolve().name if source.hub else source.url.split("/")[-2])
    if published is not None and installed_models.sha256_of(path) != published[0]:
        raise ModelUnavailable(
            f"{path} is damaged: its SHA-256 is not the published one. Remove {path.resolve()}; then {cure}."
        )


def cache_dir(data_dir: Path) -> Path:
    """Where open_clip keeps what it fetched for us."""
    return installed_models.models_dir(data_dir) / "open_clip"


@functools.cache
def table() -> Mapping[tuple[str, str], Source]:
    """(architecture, tag) → source; empty when open_clip is not installed or writes its table otherwise."""
    specification = importlib.util.find_spec("open_clip")
    if specification is None or specification.origin is None:
        return {}
    try:
        module = ast.parse(Path(specification.origin).with_name("pretrained.py").read_text(encoding="utf-8"))
        return dict(_rows(module))
    except (OSError, SyntaxError, ValueError, LookupError):
        return {}


def _near(word: str, known: Sequence[str]) -> list[str]:
    """The names that somebody may have meant, nearest first; capitals do not count."""
    lower = {name.lower(): name for name in known}
    return [lower[match] for match in difflib.get_close_matches(word.lower(), lower)]


def _rows(module: ast.Module) -> Iterator[tuple[tuple[str, str], Source]]:
    """Raises `LookupError` or `ValueError` for a table of another shape."""
    assigned = {
        target.id: statement.value
        for statement in module.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    architectures = assigned[_TABLE]
    if not isinstance(architectures, ast.Dict):
        raise ValueError("the table is no literal")  # noqa: TRY004 - the shape of a file, not a type of ours
    for key, value in zip(architectures.keys, architectures.values, strict=True):
        architecture = _text(key)
        tags = assigned[value.id] if isinstance(value, ast.Name) else value
        for tag, call in _keywords(tags).items():
            settings = _keywords(call)
            source = Source(_text(settings.get("url")), _text(settings.get("hf_hub")))
            yield (architecture, tag), source
            if "quick_gelu" in settings and ast.literal_eval(settings["quick_gelu"]):
                yield (architecture + _QUICK_GELU, tag), source


def _keywords(call: ast.expr) -> dict[str, ast.expr]:
    """The arguments of `dict(…)` or `_pcfg(…)`; an address may come first without its name."""
    if not isinstance(call, ast.Call):
        raise ValueError("not a call")  # noqa: TRY004
    named = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}
    return {"url": call.args[0], **named} if call.args else named


def _text(value: ast.expr | None) -> str:
    return "" if value is None else str(ast.literal_eval(value))


def _file(source: Source, cache: Path) -> Path | None:
    """The file that open_clip would load, where it looks first."""
    if not source.hub:
        path = cache / Path(source.url).name
        return path if path.is_file() else None
    from huggingface_hub import try_to_load_from_cache

    repository, _, name = source.hub.rpartition("/")
    for file in _hub_files(name):
        found = try_to_load_from_cache(repository, file, cache_dir=cache)
        if isinstance(found, str):
            return Path(found)
    return None


def _hub_files(name: str) -> tuple[str, ...]:
    """The files that open_clip looks for, in its order."""
    if not name:
        return _SAFE_HUB_FILE, _HUB_FILE
    stem, dot, suffix = name.rpartition(".")
    return (f"{stem}{dot}safetensors", name) if suffix in ("bin", "pth") else (name,)
