from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.errors import WriteRefused
from maclip_daemon.files.suffixes import RAW_SUFFIXES
from maclip_daemon.metadata.sidecars import targets
from maclip_daemon.photos import formats


@pytest.mark.parametrize("suffix", RAW_SUFFIXES)
def test_every_raw_is_decoded_and_rated_in_the_sidecar_that_it_shares(tmp_path: Path, suffix: str) -> None:
    assert formats.is_raw("photo" + suffix)
    for name in ("photo" + suffix, "photo.jpg", "photo.xmp"):
        (tmp_path / name).touch()
    with pytest.raises(WriteRefused, match="only the RAW's score"):
        targets.choose(tmp_path / "photo.jpg", "sidecar")
    assert targets.choose(tmp_path / f"photo{suffix}", "sidecar").path == tmp_path / "photo.xmp"
