"""Hints about ratings that wait for a person's word: darktable's first stars, and deleted sidecars."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from maclip_daemon.cli.printing import output
from maclip_daemon.files.paths import is_below

if TYPE_CHECKING:
    from maclip_daemon.library.queries.rating_counts import Snapshot
    from maclip_daemon.pipeline.rating.first_stars import FirstStars

SHOWN_S = 7 * 86_400.0  # after the last deletion of a sidecar
_DARKTABLE = (
    "darktable does that with 'write sidecar file for each image: after edit'. Set it to 'on import' "
    "(preferences, storage)."
)
_OTHERS = "Look for a program that cleans or mirrors this folder, such as rsync --delete."


def lines(
    first_stars: Sequence[FirstStars], notes: dict[str, Any], since: float | None = None
) -> list[tuple[str, str]]:
    """Return the hints, each with the word that `maclip status` puts before it.

    `since`: leave out what happened before (Unix seconds).
    """
    hints = [("first star", each.sentence()) for each in first_stars]
    deleted = deleted_sidecars(notes, time.time() - SHOWN_S if since is None else since)
    return hints + ([("deleted", deleted)] if deleted else [])


def survey(snapshot: Snapshot) -> list[FirstStars]:
    """Return the roots with darktable's first stars, for `lines` and for `maclip status --json`."""
    from maclip_daemon.pipeline.rating import first_stars

    return first_stars.survey(snapshot)


def without_first_stars(
    problems: Sequence[tuple[str, str]], first_stars: Sequence[FirstStars]
) -> list[tuple[str, str]]:
    """Return the unrated photos, path and reason, without those that a hint on first stars counts."""
    from maclip_daemon.pipeline.rating.darktable_check import FIRST_STAR

    roots = [each.root for each in first_stars]
    return [
        (path, problem)
        for path, problem in problems
        if problem != FIRST_STAR or not any(is_below(path, root) for root in roots)
    ]


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
