"""The best frame of a group, by how much it leads, and when that is too close to call."""

from __future__ import annotations

from dataclasses import dataclass

from maclip_daemon.pipeline.bursts.burst_frame import BurstFrame
from maclip_daemon.pipeline.bursts.grouping import FrameGroup
from maclip_daemon.pipeline.bursts.kinds import RANKED, BurstKind

FRAMING_SPREAD = 0.014  # standard deviation of the built-in model's score (docs/builtin-model.md)
CLOSE = 1.0  # lead, in units of the spread of a difference; below it the order is a matter of framing


@dataclass(frozen=True)
class Ranking:
    """The order of the frames of a group."""

    ranks: dict[int, int]
    """Rank by photo id, 1 the best; files of one shot share it. Empty where no frame is better."""
    best: int | None = None
    """The photo id of the leading file of the best shot."""
    margin: float | None = None
    """By how much it leads the next shot, in score; None without a next one."""
    is_close: bool = False
    """Whether that is less than re-framing the same scene moves a score."""


NO_RANKING = Ranking({})


def rank(group: FrameGroup, spread: float) -> Ranking:
    """Return the ranks of a group. `spread`: the standard deviation that re-framing gives a score."""
    if group.kind not in RANKED:
        return NO_RANKING
    if group.kind is BurstKind.DUPLICATE:
        files = group.shots[0].files
        return Ranking({frame.photo_id: place for place, frame in enumerate(files, 1)}, files[0].photo_id)
    scored = [(score_of(shot.files), -place, shot) for place, shot in enumerate(group.shots)]
    known = sorted(((score, place, shot) for score, place, shot in scored if score is not None), reverse=True)
    if len(known) < 2:
        return NO_RANKING
    unknown = [shot for score, _, shot in scored if score is None]
    ordered = [shot for _, _, shot in known] + unknown
    ranks = {frame.photo_id: place for place, shot in enumerate(ordered, 1) for frame in shot.files}
    margin = known[0][0] - known[1][0]
    return Ranking(ranks, ordered[0].leader.photo_id, margin, is_too_close(margin, spread))


def is_too_close(margin: float, spread: float) -> bool:
    """Return whether re-framing alone may have made a lead: a difference spreads √2 as much as a score."""
    return margin < CLOSE * 2**0.5 * spread


def score_of(files: tuple[BurstFrame, ...]) -> float | None:
    """Return the score of a shot: that of its first file that has one."""
    return next((frame.score for frame in files if frame.score is not None), None)
