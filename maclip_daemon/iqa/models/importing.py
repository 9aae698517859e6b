"""Import a checkpoint file into the models of this machine. Needs torch only to check the file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, UsageError
from maclip_daemon.iqa.models.catalogue import CATALOGUE
from maclip_daemon.iqa.models.installed_models import InstalledModel, hash_file, install, models_dir

_VALID_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def import_file(
    source: Path, data_dir: Path, *, name: str | None = None, accept_licence: bool = False
) -> InstalledModel:
    """Copy a checkpoint (TorchScript `.pt`, state dict, or safetensors) into the store.

    A file whose SHA-256 is in the catalogue gets its catalogue name; `name` names any other, by default
    after the file. The file must load as a CLIP. Raises `UsageError` for a licence that was not accepted
    (its text says which) or a name that cannot be used, as a catalogue name cannot for another file than
    the published one; `ModelUnavailable` for a file that is no CLIP.
    """
    # Needs torch: imported only here.
    from maclip_daemon.iqa.models.checkpoints import load_checkpoint

    digest = hash_file(source)
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
