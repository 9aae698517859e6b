"""Fetching weights: with progress, resumed where it broke off, and checked before they count. No torch."""

from __future__ import annotations

import http
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable, UsageError
from maclip_daemon.iqa.models import installed_models
from maclip_daemon.iqa.models.catalogue import CatalogueEntry
from maclip_daemon.iqa.models.installed_models import InstalledModel

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here and the bytes in all (None: the server does not say)."""

_CHUNK = 1 << 20  # bytes between two calls of the progress callback
_TIMEOUT_S = 30.0  # of silence on the line


def pull(entry: CatalogueEntry, data_dir: Path, progress: Progress = lambda *_: None) -> InstalledModel:
    """Fetch a catalogue model into the store; an earlier, broken download is continued.

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
        raise ModelUnavailable(
            f"{entry.url} cannot be fetched ({getattr(error, 'reason', error)}); {kept} MB are kept. "
            f"Run `maclip models pull {entry.name}` again to continue."
        ) from None
    except OSError as error:
        raise EnvironmentUnfit(f"{target} cannot be written: {error.strerror}.") from None


def _fetch(url: str, partial: Path, progress: Progress) -> None:
    """Bring `partial` to its full length."""
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
