"""What people ask of `maclip` while it works, or while it does not."""

from __future__ import annotations

from tests.faults.soak.hands import Hands


def ask_for_stars_again(hands: Hands) -> bool:
    """`maclip rate`: a new calibration, and stars again for what was undone."""
    if not hands.model.rows:  # nothing is scored yet
        return False
    hands.home.maclip("rate")
    hands.model.asked_for_stars()
    return True


def undo_a_photo(hands: Hands) -> bool:
    """`maclip undo`: the sidecar is as it was before; one that a person changed since is left."""
    photo = hands.photo()
    if photo is None or not hands.model.rows:
        return False
    ended = hands.home.maclip("undo", photo.path, expect=None)
    assert ended.returncode in (0, 1), ended.stderr
    photo.is_undone = True
    if ended.returncode == 1:  # what is left holds stars that we take for nobody's any more
        hands.model.sidecar(photo.path).is_stranger = True
    photo.log.append(f"undone: {ended.stdout}{ended.stderr}")
    return True


def purge(hands: Hands) -> bool:
    """`maclip purge`: missing photos are forgotten. Nobody does that while a drive is away."""
    if not hands.model.rows or hands.model.was_unplugged:
        return False
    hands.home.maclip("purge", "--yes")
    hands.model.forgotten()
    return True


def retry(hands: Hands) -> bool:
    """`maclip retry`: failed photos fail again."""
    if not hands.model.rows:
        return False
    hands.home.maclip("retry")
    return True
