from __future__ import annotations

import pytest

from maclip_daemon.files.suffixes import FILM_SUFFIXES, PICTURE_SUFFIXES, RAW_SUFFIXES
from maclip_daemon.photos import formats


@pytest.mark.parametrize("suffix", RAW_SUFFIXES)
def test_every_raw_is_decoded(suffix: str) -> None:
    assert formats.is_raw("photo" + suffix)


def test_every_photo_is_known_as_one_that_may_share_a_sidecar() -> None:
    assert formats.SUFFIXES.keys() <= {*RAW_SUFFIXES, *PICTURE_SUFFIXES}
    assert not formats.SUFFIXES.keys() & set(FILM_SUFFIXES)
