"""Scoring on demand: how many photos are decoded and scored at a time."""

from __future__ import annotations

import pytest

from maclip_daemon.pipeline.commands.score_photos import batch_photos
from maclip_daemon.settings import DecodingSettings, ScoringSettings, Settings


@pytest.mark.parametrize(
    ("protocol", "look_ahead_mb", "together"),
    [
        ("spaq448", 256, 16),
        ("long-edge-544", 256, 16),
        ("native", 256, 1),
        ("native", 1024, 7),
        ("native", 1, 1),
    ],
)
def test_photos_that_are_decoded_ahead_stay_within_the_look_ahead(
    protocol: str, look_ahead_mb: int, together: int
) -> None:
    settings = Settings(
        decoding=DecodingSettings(look_ahead_mb=look_ahead_mb), scoring=ScoringSettings(batch_photos=16)
    )
    assert batch_photos(settings, protocol) == together
    assert together == 1 or together * 2 * photo_bytes(protocol) <= look_ahead_mb << 20


def photo_bytes(protocol: str) -> int:
    return {"native": 6000 * 4000, "spaq448": 448 * 448, "long-edge-544": 544 * 363}[protocol] * 3
