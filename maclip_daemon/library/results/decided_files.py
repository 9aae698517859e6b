"""The files that a person's decisions change: their bytes of before, by the places where they are now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.storage.photo_paths import is_under
from maclip_daemon.library.storage.tables import DECISION_FILES, DECISIONS


@dataclass(frozen=True)
class DecidedFile:
    """One file that a decision changed."""

    target_path: str
    before_hash: str | None
    """None: the decision made the file."""
    after_hash: str
    restore: bytes


def record_file(session: Session, decision_id: int, file: DecidedFile) -> None:
    """Record a file that is about to be changed.

    Earlier changes of it stay where they lead to its present bytes; those that did not take place go.
    """
    known = session.execute(_OF_FILE, {"decision": decision_id, "path": file.target_path}).all()
    leading = file.before_hash
    for row in known:
        if leading is not None and row.after_hash == leading:
            leading = row.before_hash
        else:
            session.execute(DECISION_FILES.delete().where(DECISION_FILES.c.id == row.id))
    session.execute(
        insert(DECISION_FILES).values(
            decision_id=decision_id,
            target_path=file.target_path,
            before_hash=file.before_hash,
            after_hash=file.after_hash,
            restore_data=file.restore,
        )
    )


def forget_file(session: Session, decision_id: int, file: DecidedFile) -> None:
    """Take back what `record_file` recorded: the file was not changed after all."""
    known = session.execute(_OF_FILE, {"decision": decision_id, "path": file.target_path}).first()
    if known is not None and known.after_hash == file.after_hash:
        session.execute(DECISION_FILES.delete().where(DECISION_FILES.c.id == known.id))


def files_of(session: Session, decision_id: int) -> list[DecidedFile]:
    """Return the changes of a decision to files, the last one first: several of a file lead back in turn."""
    rows = session.execute(
        select(
            DECISION_FILES.c.target_path,
            DECISION_FILES.c.before_hash,
            DECISION_FILES.c.after_hash,
            DECISION_FILES.c.restore_data,
        )
        .where(DECISION_FILES.c.decision_id == decision_id)
        .order_by(DECISION_FILES.c.id.desc())
    )
    return [DecidedFile(*row) for row in rows]


def with_decisions(session: Session) -> set[str]:
    """Return the files that hold a person's decision, or will once the rest of it is written."""
    rows = session.execute(
        select(DECISION_FILES.c.target_path)
        .join(DECISIONS, DECISIONS.c.id == DECISION_FILES.c.decision_id)
        .where(DECISIONS.c.state.in_(("written", "waiting")))
        .distinct()
    )
    return {path for (path,) in rows}


def take_over(session: Session, former_id: int, decision_id: int) -> None:
    """Let a decision have what the one that it replaced has changed so far."""
    theirs = DECISION_FILES.c.decision_id == former_id
    session.execute(update(DECISION_FILES).where(theirs).values(decision_id=decision_id))


def move_targets(session: Session, photo_id: int, targets: Iterable[tuple[str, str]]) -> None:
    """Let the changes of a photo's files name these by their new paths, old and new ones given in pairs."""
    mine = select(DECISIONS.c.id).where(DECISIONS.c.photo_id == photo_id)
    for old, new in targets:
        moved = (DECISION_FILES.c.target_path == old) & DECISION_FILES.c.decision_id.in_(mine)
        session.execute(update(DECISION_FILES).where(moved).values(target_path=new))


def move_folder(session: Session, old: str, new: str) -> None:
    """Let changes of files below a folder name them by its new path."""
    below = select(DECISION_FILES.c.id, DECISION_FILES.c.target_path).where(
        or_(*is_under(DECISION_FILES.c.target_path, old))
    )
    for number, target in session.execute(below).all():
        moved = update(DECISION_FILES).where(DECISION_FILES.c.id == number)
        session.execute(moved.values(target_path=new + target[len(old) :]))


_OF_FILE = (
    select(DECISION_FILES.c.id, DECISION_FILES.c.before_hash, DECISION_FILES.c.after_hash)
    .where(
        DECISION_FILES.c.decision_id == bindparam("decision"),
        DECISION_FILES.c.target_path == bindparam("path"),
    )
    .order_by(DECISION_FILES.c.id.desc())
)
