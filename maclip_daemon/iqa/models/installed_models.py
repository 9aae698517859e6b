"""The models on this machine: `<data folder>/models/` holds a file and a card for each. Needs no torch."""

from __future__ import annotations

import functools
import glob
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable
from maclip_daemon.files.signature import FileSignature

ModelSignature = tuple[FileSignature, int]
"""A model file's signature, and the change time of its inode in nanoseconds since 1970."""


@dataclass(frozen=True)
class InstalledModel:
    """A model in the model folder, as its card describes it."""

    name: str
    path: Path
    sha256: str
    """Of the file when it was installed."""
    verified: bool
    """Whether that is the SHA-256 that the authors published."""
    source: str
    """The address or the file it came from."""


def models_dir(data_dir: Path) -> Path:
    """Return the model folder of a data folder."""
    return data_dir / "models"


def installed(data_dir: Path) -> Mapping[str, InstalledModel]:
    """Return every model that was pulled or imported, by name.

    Raises `EnvironmentUnfit` for a card that cannot be read.
    """
    found = {}
    for card_path in sorted(models_dir(data_dir).glob("*.json")):
        try:
            card = json.loads(card_path.read_text(encoding="utf-8"))
            path = card_path.with_name(card["file"])
            model = InstalledModel(card_path.stem, path, card["sha256"], card["verified"], card["source"])
        except (OSError, ValueError, KeyError, TypeError):
            raise EnvironmentUnfit(
                f"{card_path} is damaged. Remove it, then import the model again."
            ) from None
        if path.is_file():
            found[model.name] = model
    return found


def verify(data_dir: Path) -> Iterator[tuple[InstalledModel, bool]]:
    """Yield each installed model and whether its file is unchanged; reads every byte."""
    for model in installed(data_dir).values():
        yield model, hash_file(model.path) == model.sha256


def install(
    partial: Path, target: Path, expected_sha256: str, *, verified: bool, source: str
) -> InstalledModel:
    """Turn a completely written file into an installed model: check it, put it in place, write its card.

    Raises `ModelUnavailable` for a file whose SHA-256 is another one.
    """
    if hash_file(partial) != expected_sha256:
        partial.unlink()
        raise ModelUnavailable(f"The file from {source} is damaged (wrong SHA-256). Run the command again.")
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


def signature_of(path: Path) -> ModelSignature | None:
    """Return what any change of a file changes too; None when the file is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    # With the inode's change time: a copy that keeps the modification time cannot set it.
    return FileSignature.of(status), status.st_ctime_ns


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal; read again only when the file may have changed.

    Raises `ModelUnavailable` when it cannot be read.
    """
    return _remembered_hash(path, signature_of(path))


@functools.lru_cache(maxsize=64)
def _remembered_hash(path: Path, _signature: ModelSignature | None) -> str:
    return hash_file(path)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal. Raises `ModelUnavailable` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelUnavailable(f"The model file {path} cannot be read: {error.strerror}.") from None
