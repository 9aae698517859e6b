"""Photos that are scored together, and one after the other when that fails."""

from __future__ import annotations

from collections.abc import Sequence

from maclip_daemon.errors import EnvironmentUnfit, MaclipError
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.scoring.pixel_block import PixelBlock
from maclip_daemon.scoring.scorer_client import ScorerClient


def scores_or_errors(client: ScorerClient, blocks: Sequence[PixelBlock]) -> list[PhotoScore | MaclipError]:
    """Return the score or the error of each photo, in order; one that ends the process fails alone.

    Raises `EnvironmentUnfit`, `ModelUnavailable`.
    """
    if not blocks:
        return []
    try:
        return client.score(blocks)
    except EnvironmentUnfit:
        raise
    except MaclipError as error:
        if len(blocks) == 1:
            return [error]
        return [result for block in blocks for result in scores_or_errors(client, [block])]
