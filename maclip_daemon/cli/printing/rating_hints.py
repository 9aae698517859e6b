"""Hints about ratings that wait for a person's word: darktable's first stars, and deleted sidecars."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from maclip_daemon.cli.printing import output

if TYPE_CHECKING:
    from maclip_daemon.library.queries.rating_counts import Snapshot

SHOWN_S = 7 * 86_400.0  # after the last deletion of a sidecar
_DARKTABLE = (
    "darktable does that with 'write sidecar file for each image: after edit'. Set it to 'on import' "
    "(preferences, storage)."
)
_OTHERS = "Look for a program that cleans or mirrors this folder, such as rsync --delete."


def lines(snapshot: Snapshot, notes: dict[str, Any], since: float | None = None) -> list[tuple[str, str]]:
    """Return the hints, each with the word that `maclip status` puts before it.

    `since`: leave out what happened before (Unix seconds).
    """
    from maclip_daemon.pipeline.rating import first_stars

    hints = [("first star", each.sentence()) for each in first_stars.survey(snapshot)]
    deleted = deleted_sidecars(notes, time.time() - SHOWN_S if since is None else since)
    return hints + ([("deleted", deleted)] if deleted else [])


def as_json(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return darktable's first stars as `maclip status --json` has them."""
    from maclip_daemon.pipeline.rating import first_stars

    return [dataclasses.asdict(each) for each in first_stars.survey(snapshot)]


def deleted_sidecars(notes: dict[str, Any], since: float) -> str:
    """Return how many sidecars another program deleted, and how to end that; '' for none since then."""
    from maclip_daemon.metadata.managers import darktablerc

    note = notes.get("deleted_sidecars")
    if not note or note["at"] < since:
        return ""
    sidecars = output.count(note["deleted"], "sidecar")
    sentence = f"Another program deleted {sidecars} of maclip, written again since."
    if note["held_back"]:
        sentence += f" {note['held_back']} of them were deleted once more and wait until the next day or run."
    modes = {
        each.write_sidecar_files
        for folder in darktablerc.configuration_folders()
        for each in darktablerc.workspaces(folder)
    }
    return f"{sentence} {_DARKTABLE if 'after edit' in modes else _OTHERS}"
