"""Decoders that are ahead of the model wait for it: pixels on their way are bounded by a setting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.homes import Home

pytestmark = [pytest.mark.long_form, pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("ray_works")]
PHOTOS = 400
STORE_MIB = 128
SMALL = {
    "MACLIP_ARCHIVE__OBJECT_STORE_MIB": str(STORE_MIB),
    "MACLIP_ARCHIVE__PIXELS_MIB": "8",
    "MACLIP_ARCHIVE__CHUNK_PHOTOS": "32",
}


def test_decoders_wait_for_a_slower_model(home: Home, tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"s3://studio/IMG_{number:05}.jpg\n" for number in range(PHOTOS)))
    noted = [home.data / "decoded", home.data / "scored"]
    home.data.mkdir(parents=True, exist_ok=True)
    for file in noted:
        file.touch()
    command = [sys.executable, "-m", "tests.archive.slow_model_run", listed, tmp_path / "out"]
    ahead = []
    with subprocess.Popen(
        command,
        env=home.environment | {"PYTHONPATH": os.environ["PYTHONPATH"]} | SMALL,
        stdout=subprocess.PIPE,
    ) as run:
        while run.poll() is None:
            decoded, scored = (file.stat().st_size for file in noted)
            ahead.append(decoded - scored)  # a mebibyte each
            time.sleep(0.5)
        assert run.stdout is not None
        assert run.stdout.read().split()[-1:] == [str(PHOTOS).encode()]
    print(f"at most {max(ahead)} MiB of pixels on their way, in the end {ahead[-1]}")
    assert max(ahead) < STORE_MIB
