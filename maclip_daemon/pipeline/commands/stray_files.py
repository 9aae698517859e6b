"""Find what is maclip's alone and belongs to nothing: temporary files, and sidecars without their photo."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from maclip_daemon.errors import MaclipError
from maclip_daemon.files import exchange, temporaries
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import UndoEntry, UndoOutcome
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.metadata.writing.undo_delta import UndoDelta
from maclip_daemon.pipeline.commands.disagreement import Cures, FileDisagreement


def find(
    folders: Iterable[str],
    known_sidecars: set[str],
    writer: MetadataWriter,
    probe: FilesystemProbe,
    cures: Cures,
    root_of: Callable[[str], str | None],
    changed_before: float,
) -> Iterator[FileDisagreement]:
    """Yield the strays directly in these folders that last changed before a time (Unix seconds).

    `root_of` returns the watched folder around a path. `known_sidecars`: those that the journal knows; other
    questions are asked about them.
    """
    for folder in folders:
        names: list[str] = probe.call_or(folder, functools.partial(_names, folder), [])
        stems = {name for name in names if not sidecar_names.is_sidecar(name)}
        stems |= {os.path.splitext(name)[0] for name in stems}  # noqa: PTH122
        owners = {sidecar_names.key_of(stem) for stem in stems}
        for name in names:
            path = os.path.join(folder, name)
            if temporaries.is_temporary(name):
                if _is_old(path, changed_before):
                    what = f"{path} is a temporary file of maclip's that an interrupted write left."
                    yield FileDisagreement(path, "temporary", what, cures.remove(path))
            elif temporaries.is_aside(name):
                # A run leaves a younger one to the command that may be at work with it.
                if _is_old(path, min(changed_before, time.time() - exchange.MAY_BE_RUNNING_S)):
                    what = f"{path} may hold an edit of yours that an interrupted write had taken out."
                    yield FileDisagreement(path, "temporary", what, cures.run(root_of(folder)))
            elif _is_alone(name, owners) and path not in known_sidecars and is_ours_alone(writer, path):
                what = f"{path} holds nothing but maclip's stars, and its photo is not there."
                yield FileDisagreement(path, "orphan", what, cures.remove(path))


def is_ours_alone(writer: MetadataWriter, sidecar: str) -> bool:
    """Return whether nothing would be left of a sidecar without what maclip wrote."""
    try:
        (outcome, *_) = writer.preview_undo(
            [UndoEntry(Path(sidecar), None, "", UndoDelta.taking_out().encode())]
        )
    except MaclipError:
        return False
    return isinstance(outcome, UndoOutcome) and outcome.status == "removed"


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - undecodable names
    except OSError:
        return []


def _is_alone(name: str, owners: set[str]) -> bool:
    return sidecar_names.is_sidecar(name) and sidecar_names.key_of(name[: -len(".xmp")]) not in owners


def _is_old(path: str, changed_before: float) -> bool:
    try:
        found = os.lstat(path)
        return max(found.st_ctime, found.st_mtime) < changed_before
    except OSError:
        return False
