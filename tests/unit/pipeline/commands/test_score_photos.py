from __future__ import annotations

import pytest

from maclip_daemon.pipeline.commands.score_photos import photos_together
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
    assert photos_together(settings, protocol) == together
    assert together == 1 or together * 2 * photo_bytes(protocol) <= look_ahead_mb << 20


def photo_bytes(protocol: str) -> int:
    return {"native": 6000 * 4000, "spaq448": 448 * 448, "long-edge-544": 544 * 363}[protocol] * 3
