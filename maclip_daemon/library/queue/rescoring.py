"""Photos that another model scored are scored again: from its start until their files are asked for.

A note keeps it, so that no stop in between lets the files hold what the former model said.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage.notes import get_note, put_note

NOTE = "rescoring"
"""The scoring configuration with which photos are scored again; null: none."""


def begin_if_any(session: Session, scoring_config_id: int, now: float) -> None:
    """Record that photos are scored again with this configuration, where some wait for that."""
    if jobs.is_scoring_again(session):
        put_note(session, NOTE, {"scoring_config_id": scoring_config_id}, now)


def is_open(session: Session, scoring_config_id: int) -> bool:
    """Return whether photos are scored again with this configuration, or were and their files must follow."""
    return bool(get_note(session, NOTE) == {"scoring_config_id": scoring_config_id})


def end(session: Session, now: float) -> None:
    """Record that the files are asked for, in the transaction that does so."""
    put_note(session, NOTE, None, now)
