"""`maclip doctor`: check this machine, and name the repair of what does not work."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maclip_daemon.cli import invocation
from maclip_daemon.cli.doctor import photo_manager_checks
from maclip_daemon.cli.doctor.finding import Finding
from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import expanded, printable

if TYPE_CHECKING:
    from maclip_daemon.settings import Settings

LOW_DISK_BYTES = 500 << 20  # below this the database and the sidecars may soon not fit
FEW_WATCHES = 65_536  # folders; the default of older kernels is 8192
TORCH_TIMEOUT_S = 120.0  # importing torch from a cold disk
FOLDER_TIMEOUT_S = 10.0  # for each folder; the user waits


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each finding.")] = False,
) -> None:
    """Check what maclip needs: Python, torch and its device, the model, the database, the folders, the
    sandbox, the limits of file watching, the disk. Ends with exit code 3 when something must be repaired.
    """
    call = invocation.from_context(context)
    bad = 0
    for finding in _findings(call.settings()):
        bad += finding.state == "bad"
        if as_json:
            output.print_json({"what": finding.what, "state": finding.state, "says": finding.says})
        else:
            mark = {"good": "ok  ", "note": "note", "bad": "BAD "}[finding.state]
            output.say_under(f"{mark} {finding.what:<10} ", finding.says)
    if bad:
        raise typer.Exit(3)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield Finding("python", "good", f"{sys.version.split()[0]} at {sys.executable}")
    yield _torch(settings)
    yield _model(settings)
    yield _database(settings)
    yield from _shared_folders(settings)
    yield from _folders(settings)
    yield from _sandbox()
    yield from _watches()
    yield from _watching(settings)
    yield from _disk(settings)
    yield from photo_manager_checks.check(settings.rating.sidecar_name)
    yield from _ratings(settings)
    yield from _notifications(settings)


def _notifications(settings: Settings) -> Iterator[Finding]:
    from maclip_daemon.daemon.notify import apprise_services

    if settings.notify.urls and not apprise_services.is_installed():
        yield Finding("notify", "bad", f"{apprise_services.INSTALL}.")


def _torch(settings: Settings) -> Finding:
    # In a separate process: a broken installation can crash the interpreter.
    code = (
        "from maclip_daemon.scoring import device as d; import torch, sys;"
        "chosen = d.choose_device(sys.argv[1]);"
        "print(torch.__version__, chosen, d.choose_precision(sys.argv[2], chosen))"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, settings.scoring.device, settings.scoring.precision],
            capture_output=True,
            text=True,
            timeout=TORCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("torch", "bad", f"did not start within {TORCH_TIMEOUT_S:g} s. Install torch again.")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return Finding(
            "torch", "bad", f"{last} (install torch and torchvision together: pip install open_clip_torch)"
        )
    version, device, precision = done.stdout.split()[-3:]
    return Finding("torch", "good", f"{version}; photos are scored on {device} in {precision}")


def _model(settings: Settings) -> Finding:
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.scoring.scorer_client import ScorerClient

    try:
        identity = ScorerClient(settings.scoring, settings.data_dir).identity()
    except MaclipError as error:
        return Finding("model", "bad", str(error))
    return Finding("model", "good", f"{identity.model} · {identity.metric} · {identity.protocol}")


def _database(settings: Settings) -> Finding:
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.library.storage.open_readonly import open_readonly

    path = settings.database_path
    if not path.exists():
        return Finding("database", "note", f"none yet at {path}; `maclip run FOLDER` creates it")
    try:
        with open_readonly(path) as library:
            problems = library.check()
    except MaclipError as error:
        return Finding("database", "bad", str(error))
    if problems:
        return Finding(
            "database", "bad", f"{path} is damaged. `maclip db check` names the backup to restore."
        )
    return Finding("database", "good", f"{path}, no problem found")


def _shared_folders(settings: Settings) -> Iterator[Finding]:
    """Yield the folders in which another maclip library rates photos too."""
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.library.queries.other_libraries import shared_folders
    from maclip_daemon.library.storage.open_readonly import open_readonly

    if not settings.database_path.exists():
        return
    try:
        with open_readonly(settings.database_path) as library, library.snapshot() as snapshot:
            found = shared_folders(snapshot)
    except MaclipError:
        return  # _database reports it
    for shared in found:
        yield Finding("libraries", "note", printable(shared.sentence()))


def _folders(settings: Settings) -> Iterator[Finding]:
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.folders.filesystem_probe import FilesystemProbe

    probe = FilesystemProbe(FOLDER_TIMEOUT_S)
    for folder in settings.folders.paths:
        path = expanded(folder)
        try:
            yield probe.call_with_timeout(
                os.path.abspath(path), functools.partial(_folder, path, settings.rating.mode)
            )
        except MaclipError as error:
            yield Finding("folder", "bad", str(error))


def _folder(path: Path, mode: str) -> Finding:
    from maclip_daemon.folders import root_health

    root = root_health.open_root(path)
    health = root_health.check(root, None, 0)
    if health.reason:
        return Finding("folder", "bad", health.reason)
    if mode != "off" and not os.access(root.path, os.W_OK):
        problem = (
            f"{root.path} is not writable, so no sidecar can be: change its permissions, or set rating.mode"
        )
        return Finding("folder", "bad", problem)
    if health.is_polled:
        note = f"{root.path} is on {health.file_system}: no file events there, scans find new photos"
        return Finding("folder", "note", note)
    return Finding("folder", "good", f"{root.path} ({health.file_system})")


def _sandbox() -> Iterator[Finding]:
    from maclip_daemon.processes import sandbox

    missing = sandbox.missing()
    for lack in missing:
        yield Finding("sandbox", "note", f"what reads your photos is isolated less well without {lack}")
    if not missing:
        yield Finding("sandbox", "good", "what reads your photos has no network and opens no other files")


def _watches() -> Iterator[Finding]:
    limit = Path("/proc/sys/fs/inotify/max_user_watches")
    if not limit.exists():
        return
    count = int(limit.read_text())
    if count < FEW_WATCHES:
        yield Finding(
            "inotify",
            "note",
            f"{count} folders can be watched; `maclip service print --for sysctl` raises that",
        )
    else:
        yield Finding("inotify", "good", f"up to {count} folders can be watched")


def _watching(settings: Settings) -> Iterator[Finding]:
    """Yield what the running daemon reports about the folders that it watches."""
    from maclip_daemon.daemon.lock import is_running
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.library.queries.status import notes
    from maclip_daemon.library.storage.open_readonly import open_readonly

    if not is_running(settings.data_dir):
        return
    try:
        with open_readonly(settings.database_path) as library, library.snapshot() as snapshot:
            folders = (notes(snapshot).get("daemon") or {}).get("folders", [])
    except MaclipError:
        return  # _database reports it
    for folder in folders:
        path = folder["path"]
        if folder["reason"]:
            yield Finding("watching", "bad", printable(folder["reason"]))
        for warning in folder["warnings"]:
            yield Finding("watching", "note", printable(f"{path}: {warning}"))
        if not folder["reason"] and not folder["warnings"]:
            how = "file events and scans" if folder["events"] else "scans only"
            yield Finding("watching", "good", printable(f"{path}: {how}"))


def _ratings(settings: Settings) -> Iterator[Finding]:
    """Yield what keeps photos without stars of maclip: darktable's first star, and deleted sidecars."""
    from maclip_daemon.cli.printing import rating_hints
    from maclip_daemon.errors import MaclipError
    from maclip_daemon.library.queries.status import notes
    from maclip_daemon.library.storage.open_readonly import open_readonly

    if not settings.database_path.exists():
        return
    try:
        with open_readonly(settings.database_path) as library, library.snapshot() as snapshot:
            hints = rating_hints.lines(rating_hints.survey(snapshot), notes(snapshot))
    except MaclipError:
        return  # _database reports it
    for word, hint in hints:
        yield Finding(word, "note", printable(hint))


def _disk(settings: Settings) -> Iterator[Finding]:
    existing = next(folder for folder in [settings.data_dir, *settings.data_dir.parents] if folder.exists())
    free = shutil.disk_usage(existing).free
    says = f"{free / (1 << 30):.1f} GiB free for {settings.data_dir}"
    yield Finding("disk", "good" if free > LOW_DISK_BYTES else "bad", says)
