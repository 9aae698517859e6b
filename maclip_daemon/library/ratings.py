"""The journal of every change to a metadata file, and which photos are due for other stars.

`intend` is committed before the file is replaced, `confirm` after; what lies between is found by
`unconfirmed` after a kill, and settled by looking at the file's hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

RestoreForm = Literal["absent", "whole", "delta"]
TargetKind = Literal["sidecar", "embed"]
EntryState = Literal["intended", "written", "abandoned", "undone"]


@dataclass(frozen=True)
class RestoreData:
    """How to get the bytes of before back.

    `absent`: there was no file. `whole`: `data` is the zlib-compressed file. `delta`: the first
    `prefix_length` and the last `suffix_length` bytes of the file as written stay, and `data`
    (zlib-compressed) goes between them.
    """

    form: RestoreForm
    data: bytes = b""
    prefix_length: int = 0
    suffix_length: int = 0


@dataclass(frozen=True)
class JournalRow:
    """One change of one file."""

    id: int
    photo_id: int | None
    """None: the photo was purged since."""
    target_path: str
    kind: TargetKind
    state: EntryState
    existed: bool
    before_hash: str | None
    after_hash: str
    restore: RestoreData
    stars_before: int | None
    stars_written: int | None
    intended_at: str


@dataclass(frozen=True)
class LastWrite:
    """What we last wrote for a photo and did not undo."""

    stars: int | None
    target_path: str
    after_hash: str
    kind: TargetKind


def intend(
    session: Session,
    photo_id: int,
    target_path: str,
    kind: TargetKind,
    *,
    existed: bool,
    before_hash: str | None,
    after_hash: str,
    restore: RestoreData,
    stars_before: int | None,
    stars_written: int | None,
    now: float,
) -> int:
    """Write down what is about to happen to a file; the entry's number. Commit before touching the file."""
    raise NotImplementedError


def confirm(session: Session, entry_id: int, now: float) -> None:
    """The file was replaced: the entry is `written`, the photo's rating is ours."""
    raise NotImplementedError


def abandon(session: Session, entry_id: int, now: float) -> None:
    """The file was left as it was."""
    raise NotImplementedError


def unconfirmed(session: Session) -> list[JournalRow]:
    """Give the entries neither confirmed nor abandoned, oldest first: the program died between."""
    raise NotImplementedError


def undo_targets(session: Session, under: str | None = None) -> list[str]:
    """Give the files that we changed and that were not undone (at or below `under`, or of the photo there)."""
    raise NotImplementedError


def undo_chain(session: Session, target_path: str) -> list[JournalRow]:
    """Give the changes of one file that were not undone, newest first."""
    raise NotImplementedError


def mark_undone(session: Session, entry_ids: list[int], now: float) -> None:
    """The file is as it was before these entries; its photo is left alone until somebody asks for stars."""
    raise NotImplementedError


def last_written(session: Session, photo_id: int) -> LastWrite | None:
    """Give what we last wrote for a photo and did not undo."""
    raise NotImplementedError


def enqueue_photos_to_rate(session: Session, now: float, *, again: bool = False) -> int:
    """Ask for a rating of every photo whose stars differ from what we last wrote; how many.

    By the active scale's current calibration, in one statement. A person's rating and photos whose rating
    was undone are left out; `again` (`maclip rate`) takes the undone ones back in.
    """
    raise NotImplementedError
