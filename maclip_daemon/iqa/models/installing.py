"""Installing models: weights are pulled from their authors, or imported from a file.

A pull shows its progress, continues where it broke off, and is checked before it counts. Only an import needs
torch, to check the file.
"""

from __future__ import annotations

import http
import http.client
import re
import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable, UsageError
from maclip_daemon.iqa.models import installed_models
from maclip_daemon.iqa.models.catalogue import CATALOGUE, CatalogueEntry
from maclip_daemon.iqa.models.installed_models import InstalledModel

Progress = Callable[[int, int | None], None]
"""Called with the bytes fetched so far and the bytes in all (None: the server does not say)."""

_CHUNK = 1 << 20  # bytes between two calls of the progress callback
_TIMEOUT_S = 30.0  # of silence on the line
_VALID_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def pull(entry: CatalogueEntry, data_dir: Path, progress: Progress = lambda *_: None) -> InstalledModel:
    """Fetch a catalogue model and install it; an earlier, broken download is continued.

    Raises `UsageError` for a model that can only be imported, `ModelUnavailable` when the network fails or
    the file is not the published one, `EnvironmentUnfit` when it cannot be written.
    """
    if entry.url is None or entry.sha256 is None:
        raise UsageError(
            f"{entry.name} cannot be fetched. Get it from {entry.origin} and run `maclip models import FILE`."
            if entry.name != "builtin"
            else "builtin comes with the package; there is nothing to fetch."
        )
    already = installed_models.installed(data_dir).get(entry.name)
    if already is not None and already.verified and installed_models.sha256_of(already.path) == entry.sha256:
        return already
    target = installed_models.models_dir(data_dir) / f"{entry.name}{Path(entry.url).suffix}"
    partial = target.with_name(f".{entry.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(entry.url, partial, progress)
        return installed_models.install(partial, target, entry.sha256, verified=True, source=entry.url)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        kept = partial.stat().st_size // 1_000_000 if partial.exists() else 0
        again = f"Run `maclip models pull {entry.name}` again"
        raise ModelUnavailable(
            f"{entry.url} cannot be fetched: {network_problem(error)}. "
            f"{f'{kept} MB are kept. {again} to continue' if kept else f'{again} later'}."
        ) from None
    except OSError as error:
        raise EnvironmentUnfit(f"{target} cannot be written: {error.strerror}.") from None


def network_problem(error: Exception) -> str:
    """Return in a user's words why a download failed."""
    cause = getattr(error, "reason", error)
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    if isinstance(cause, TimeoutError):
        return "the server did not respond"
    if isinstance(cause, socket.gaierror) or re.search(
        "Name or service not known|Failed to resolve", str(cause)
    ):
        return "this machine has no connection to the internet"
    if isinstance(cause, RuntimeError | ValueError):  # open_clip: the file is not the published one
        return str(cause).splitlines()[0].rstrip(".")
    return getattr(cause, "strerror", None) or "the connection failed"


def _fetch(url: str, partial: Path, progress: Progress) -> None:
    """Fetch the part of a file that `partial` does not hold yet."""
    here = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={here}-"} if here else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        return  # nothing is missing; the check of the SHA-256 decides
    with response:
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            here = 0  # the server sends all of it again
        length = response.headers.get("Content-Length")
        total = here + int(length) if length else None
        with partial.open("ab" if here else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                here += len(chunk)
                progress(here, total)
    if total is not None and here < total:
        raise ConnectionError("the connection broke off")


def import_file(
    source: Path, data_dir: Path, *, name: str | None = None, accept_licence: bool = False
) -> InstalledModel:
    """Copy a checkpoint (TorchScript `.pt`, state dict, or safetensors) into the model folder.

    `name`: by default the catalogue name of a published file, else after the file. Raises `UsageError` for a
    licence that was not accepted and for a name that is invalid or belongs to another published file;
    `ModelUnavailable` for a file that is no CLIP; `EnvironmentUnfit` when it cannot be copied.
    """
    # Needs torch: imported only here.
    from maclip_daemon.iqa.models.checkpoints import load_checkpoint

    digest = installed_models.hash_file(source)
    published = next((entry.name for entry in CATALOGUE.values() if entry.sha256 == digest), None)
    name = name or published or re.sub(r"[^a-z0-9._-]+", "-", source.stem.lower()).strip("-._")
    _require_usable_name(name, source, digest, accept_licence=accept_licence)
    load_checkpoint(source)
    target = installed_models.models_dir(data_dir) / f"{name}{source.suffix or '.pt'}"
    partial = target.with_name(f".{name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, partial)
        return installed_models.install(
            partial, target, digest, verified=name == published, source=source.name
        )
    except OSError as error:
        raise EnvironmentUnfit(f"{source} cannot be copied to {target}: {error.strerror}.") from None


def _require_usable_name(name: str, source: Path, digest: str, *, accept_licence: bool) -> None:
    """Raise `UsageError` for a name that this file cannot have, or whose licence was not accepted."""
    if not _VALID_NAME.fullmatch(name) or name in ("auto", "builtin"):
        raise UsageError(f"{name!r} cannot name a model. Use small letters, digits, dots and hyphens.")
    entry = CATALOGUE.get(name)
    if entry is None:
        return
    if entry.sha256 is not None and entry.sha256 != digest:
        raise UsageError(
            f"{source} is not the published {name} (its SHA-256 is {digest[:12]}…, the published one "
            f"{entry.sha256[:12]}…). Choose another name with --name."
        )
    if entry.licence_must_be_accepted and not accept_licence:
        raise UsageError(
            f"{name} is under {entry.licence} ({entry.licence_url}): no commercial use. "
            "Run the command again with --accept-licence if you agree."
        )
