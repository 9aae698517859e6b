"""`maclip` commands that people run, with or without a running daemon."""

from __future__ import annotations

from tests.faults.soak.simulated_user import SimulatedUser


def rate_again(user: SimulatedUser) -> bool:
    """Run `maclip rate`: calibrate again, and rate undone photos again."""
    if not user.model.rows:  # nothing is scored yet
        return False
    user.home.maclip("rate")
    user.model.rating_requested()
    return True


def undo_a_photo(user: SimulatedUser) -> bool:
    """Run `maclip undo` for one photo; a sidecar that a person changed since is left alone."""
    photo = user.photo()
    if photo is None or not user.model.rows:
        return False
    ended = user.home.maclip("undo", photo.path, expect=None)
    assert ended.returncode in (0, 1), ended.stderr
    user.model.undone(photo.path, f"undone: {ended.stdout}{ended.stderr}")
    if ended.returncode == 1:  # the remaining sidecar holds stars of no known owner
        user.model.sidecar(photo.path).is_from_another_photo = True
    return True


def purge(user: SimulatedUser) -> bool:
    """Run `maclip purge`, which deletes the rows of missing photos; not while the drive is offline."""
    if not user.model.rows or user.model.was_offline:
        return False
    user.home.maclip("purge", "--yes")
    user.model.purged()
    return True


def retry(user: SimulatedUser) -> bool:
    """Run `maclip retry`: failed photos fail again."""
    if not user.model.rows:
        return False
    user.home.maclip("retry")
    return True
