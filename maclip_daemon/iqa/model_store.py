"""The models on this machine: `<data folder>/models/` holds a file and a card for each. Needs no torch."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable, UsageError

_VALID_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class InstalledModel:
    """A model in the store, as its card says."""

    name: str
    path: Path
    sha256: str
    """Of the file when it was installed."""
    verified: bool
    """Whether that is the SHA-256 that the authors published."""
    source: str
    """The address or the file it came from."""


def models_dir(data_dir: Path) -> Path:
    """Where the models of this data folder live."""
    return data_dir / "models"


def installed(data_dir: Path) -> Mapping[str, InstalledModel]:
    """Every model that was pulled or imported, by name."""
    found = {}
    for card_path in sorted(models_dir(data_dir).glob("*.json")):
        try:
            card = json.loads(card_path.read_text(encoding="utf-8"))
            path = card_path.with_name(card["file"])
            model = InstalledModel(card_path.stem, path, card["sha256"], card["verified"], card["source"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EnvironmentUnfit(
                f"{card_path} cannot be read ({error}). Remove it, then import the model again."
            ) from None
        if path.is_file():
            found[model.name] = model
    return found


def verify(data_dir: Path) -> Iterator[tuple[InstalledModel, bool]]:
    """Each installed model, and whether its file is still what was installed; reads every byte."""
    for model in installed(data_dir).values():
        yield model, _hash_file(model.path) == model.sha256


def import_file(
    source: Path, data_dir: Path, *, name: str | None = None, accept_licence: bool = False
) -> InstalledModel:
    """Copy a checkpoint (TorchScript `.pt`, state dict, or safetensors) into the store.

    A file whose SHA-256 is in the catalogue gets its catalogue name; `name` names any other, by default
    after the file. The file must load as a CLIP. Raises `UsageError` for a licence that was not accepted
    (its text says which) or a name that cannot be used, as a catalogue name cannot for another file than
    the published one; `ModelUnavailable` for a file that is no CLIP.
    """
    # Both need torch or the catalogue, which lists this store: imported only here.
    from maclip_daemon.iqa.checkpoints import load_checkpoint
    from maclip_daemon.iqa.models import CATALOGUE

    digest = _hash_file(source)
    published = next((entry.name for entry in CATALOGUE.values() if entry.sha256 == digest), None)
    name = name or published or re.sub(r"[^a-z0-9._-]+", "-", source.stem.lower()).strip("-._")
    if not _VALID_NAME.fullmatch(name) or name in ("auto", "builtin"):
        raise UsageError(f"{name!r} cannot name a model. Use small letters, digits, dots and hyphens.")
    entry = CATALOGUE.get(name)
    if entry is not None and entry.sha256 is not None and entry.sha256 != digest:
        raise UsageError(
            f"{source} is not the published {name} (its SHA-256 is {digest[:12]}…, the published one "
            f"{entry.sha256[:12]}…). Give it another name with --name."
        )
    if entry is not None and entry.licence_must_be_accepted and not accept_licence:
        raise UsageError(
            f"{name} is under {entry.licence} ({entry.licence_url}): no commercial use. "
            "Run the command again with --accept-licence if you agree."
        )
    load_checkpoint(source)
    verified = entry is not None and entry.sha256 == digest
    target = models_dir(data_dir) / f"{name}{source.suffix or '.pt'}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{name}.partial")
        shutil.copyfile(source, partial)
        return install(partial, target, digest, verified=verified, source=source.name)
    except OSError as error:
        raise EnvironmentUnfit(f"{source} cannot be copied to {target}: {error.strerror}.") from None


def install(
    partial: Path, target: Path, expected_sha256: str, *, verified: bool, source: str
) -> InstalledModel:
    """Make a completely written file a model: check it, put it in place, write its card."""
    if _hash_file(partial) != expected_sha256:
        partial.unlink()
        raise ModelUnavailable(
            f"What arrived from {source} is damaged (wrong SHA-256). Run the command again."
        )
    for older in target.parent.glob(f"{glob.escape(target.stem)}.*"):
        if older.suffix not in (".json", target.suffix):
            older.unlink()  # the same model, imported before from another kind of file
    partial.replace(target)
    card = {"file": target.name, "sha256": expected_sha256, "verified": verified, "source": source}
    card_path = target.with_suffix(".json")
    unfinished = card_path.with_suffix(".partial")
    unfinished.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(card_path)
    return InstalledModel(card_path.stem, target, expected_sha256, verified, source)


def traces_of(path: Path) -> tuple[int, ...] | None:
    """What any change of a file leaves a trace in: size, times and inode; None when it is gone.

    The change time of the inode is among them: a copy that keeps the modification time cannot set it.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; read again only when the file may have changed."""
    return _remembered_hash(path, traces_of(path))


@functools.lru_cache(maxsize=64)
def _remembered_hash(path: Path, _traces: tuple[int, ...] | None) -> str:
    return _hash_file(path)


def _hash_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnavailable(f"The model file {path} cannot be read: {error.strerror}.") from None
