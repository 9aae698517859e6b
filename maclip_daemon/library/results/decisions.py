"""A person's decisions in the review page: what is to be written, what was, and what was before.

A decision is stored before any file is touched. It waits until its files are written, however often the
program is killed or the disk is full meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.orm import Session

from maclip_daemon.library.results import decided_files
from maclip_daemon.library.storage import timestamps
from maclip_daemon.library.storage.tables import DECISION_FILES, DECISIONS, PHOTOS

DecisionState = Literal["waiting", "written", "refused", "undone", "replaced"]
"""`replaced`: a later decision about the photo came before this one was written. It and `undone` are ends."""

_KEPT = (
    *("rating_in_file", "rating_owner", "stars_written", "rating_problem", "may_replace"),
    *("rating_undone_at", "is_picked"),
)


@dataclass(frozen=True)
class NewDecision:
    """What a person decided about one photo."""

    photo_id: int
    rating: int | None
    """1 to 5, 0 for no stars, -1 to reject; None leaves the rating."""
    pick: bool | None = None
    """None leaves the pick."""
    seen: int | None = None
    """The person's rating of before that the page showed; None without one."""


@dataclass(frozen=True)
class StoredDecision:
    """A decision as the library keeps it."""

    id: int
    photo_id: int
    review: str
    press: int
    """The same for all decisions of one key press."""
    rating: int | None
    pick: bool | None
    seen: int | None
    before: dict[str, Any]
    """The photo's columns of before."""
    state: DecisionState
    reason: str | None
    decided_at: str


def add(session: Session, decided: Sequence[NewDecision], review: str, now: float) -> list[StoredDecision]:
    """Store the decisions of one key press, to be written; return them.

    Decisions about the same photos that still wait are replaced: what was before them stays what was before,
    also of the files that they changed already. A rating and a pick that were decided apart are both kept.
    """
    stored: list[StoredDecision] = []
    press: int | None = None
    for each in decided:
        replaced = _replace_waiting(session, each.photo_id, now)
        whole = each if replaced is None else with_other_half(each, replaced)
        values: dict[str, Any] = {
            "photo_id": each.photo_id,
            "review": review,
            "press": press or 0,
            "rating": whole.rating,
            "pick": whole.pick,
            "seen": whole.seen,
            "before": _kept_columns(session, each.photo_id) if replaced is None else replaced.before,
            "decided_at": timestamps.text(now),
        }
        added = insert(DECISIONS).values(**values).returning(DECISIONS.c.id)
        number = int(session.execute(added).scalar_one())
        if press is None:
            press = values["press"] = number
            session.execute(update(DECISIONS).where(DECISIONS.c.id == number).values(press=press))
        if replaced is not None:
            decided_files.take_over(session, replaced.id, number)
        stored.append(StoredDecision(number, state="waiting", reason=None, **values))
    return stored


def _replace_waiting(session: Session, photo_id: int, now: float) -> StoredDecision | None:
    """End the decision about a photo that waits, if one does, and return it."""
    waits = (DECISIONS.c.photo_id == photo_id) & (DECISIONS.c.state == "waiting")
    ended = {"state": "replaced", "settled_at": timestamps.text(now)}
    found = session.execute(update(DECISIONS).where(waits).values(**ended).returning(DECISIONS)).first()
    return None if found is None else _stored(found)


def with_other_half(decided: NewDecision, replaced: StoredDecision) -> NewDecision:
    """Return a decision with what only the one that it replaced says: the page sends a pick alone."""
    if decided.rating is None:
        decided = replace(decided, rating=replaced.rating, seen=replaced.seen)
    if decided.pick is None and decided.rating != -1:
        decided = replace(decided, pick=replaced.pick)
    return decided


def _kept_columns(session: Session, photo_id: int) -> dict[str, Any]:
    row = session.execute(select(*(PHOTOS.c[name] for name in _KEPT)).where(PHOTOS.c.id == photo_id)).one()
    return dict(row._mapping)


def present(session: Session, decision_id: int) -> StoredDecision | None:
    """Return a decision as it is now: its photo may be another one, or it may have ended. None: forgotten."""
    row = session.execute(select(DECISIONS).where(DECISIONS.c.id == decision_id)).first()
    return None if row is None else _stored(row)


def settle(session: Session, decision_id: int, state: DecisionState, reason: str | None, now: float) -> None:
    """Record what became of a decision, unless it was replaced or undone; one that waits keeps the reason."""
    values: dict[str, Any] = {"state": state, "reason": reason}
    if state != "waiting":
        values["settled_at"] = timestamps.text(now)
    goes_on = (DECISIONS.c.id == decision_id) & DECISIONS.c.state.not_in(("replaced", "undone"))
    session.execute(update(DECISIONS).where(goes_on).values(**values))


def end_waiting(session: Session, are_chosen: ColumnElement[bool], now: float) -> None:
    """Record that the decisions about these photos that wait are undone: they are not written any more."""
    chosen = DECISIONS.c.photo_id.in_(select(PHOTOS.c.id).where(are_chosen))
    ended = {"state": "undone", "settled_at": timestamps.text(now)}
    session.execute(update(DECISIONS).where(chosen, DECISIONS.c.state == "waiting").values(**ended))


def record_written(session: Session, decision: StoredDecision) -> None:
    """Record in the photo's row what its files hold now."""
    values: dict[str, Any] = {}
    if decision.rating is not None:
        values |= {"rating_in_file": decision.rating, "rating_owner": "person", "stars_written": None}
        values |= {"rating_problem": None, "may_replace": None}
    if decision.pick is not None:
        values["is_picked"] = decision.pick
    elif decision.rating == -1:
        values["is_picked"] = False
    if values:
        session.execute(update(PHOTOS).where(PHOTOS.c.id == decision.photo_id).values(**values))


def record_rating(session: Session, photo_id: int, rating: int) -> None:
    """Record a rating that another program gave."""
    values = {"rating_in_file": rating, "rating_owner": "person", "rating_problem": None}
    session.execute(update(PHOTOS).where(PHOTOS.c.id == photo_id).values(**values))


def restore_photo(session: Session, decision: StoredDecision) -> bool:
    """Put the photo's columns back; return whether maclip may rate it again."""
    known = {name: decision.before[name] for name in _KEPT if name in decision.before}
    session.execute(update(PHOTOS).where(PHOTOS.c.id == decision.photo_id).values(**known))
    return known.get("rating_owner") == "none" and known.get("rating_undone_at") is None


def waiting(session: Session, photo_id: int | None = None) -> list[StoredDecision]:
    """Return the decisions that are not written yet, oldest first; of all photos, or of one."""
    chosen = select(DECISIONS).where(DECISIONS.c.state == "waiting").order_by(DECISIONS.c.id)
    if photo_id is not None:
        chosen = chosen.where(DECISIONS.c.photo_id == photo_id)
    return [_stored(row) for row in session.execute(chosen)]


def last_press(session: Session, review: str, before: int | None = None) -> list[StoredDecision]:
    """Return the decisions of the last key press of a review that count, the last one first.

    `before`: only of presses before this one. Empty when there is none.
    """
    is_half_written = (
        select(DECISION_FILES.c.id).where(DECISION_FILES.c.decision_id == DECISIONS.c.id).exists()
    )
    counts = DECISIONS.c.state.in_(("written", "waiting")) | (
        (DECISIONS.c.state == "refused") & is_half_written
    )
    chosen = select(DECISIONS.c.press).where(DECISIONS.c.review == review, counts)
    if before is not None:
        chosen = chosen.where(DECISIONS.c.press < before)
    press = session.execute(chosen.order_by(DECISIONS.c.press.desc()).limit(1)).scalar()
    if press is None:
        return []
    rows = session.execute(
        select(DECISIONS).where(DECISIONS.c.press == press, counts).order_by(DECISIONS.c.id.desc())
    )
    return [_stored(row) for row in rows]


def _stored(row: Row[Any]) -> StoredDecision:
    return StoredDecision(**{name: getattr(row, name) for name in StoredDecision.__dataclass_fields__})
