"""Which way a view faces: a photo and its mirror image are judged from the same pixels. Needs no torch.

A tower does not judge a picture and its mirror image alike, although it learned from both. So views right
of the middle are mirrored, and one in the middle shows its brighter half on the left. Both copies of a photo
then have the same views, at no cost in time. Only `detail-N` does so: published protocols stay exact
(docs/decisions/0045).
"""

from __future__ import annotations

from collections.abc import Callable


def is_mirrored(side: int, is_brighter_right: Callable[[], bool]) -> bool:
    """Return whether a view is judged mirrored.

    `side`: where it lies, negative left of the middle, positive right of it, 0 in the middle; only there is
    `is_brighter_right` called, for the view itself.
    """
    return side > 0 or (side == 0 and is_brighter_right())
