"""The published numbers of the real weights; needs RN50.pt and two images of TID2013, which are not here.

    MACLIP_TEST_RN50=RN50.pt MACLIP_TEST_TID2013=FOLDER pytest -m weights -s

FOLDER holds `I01.BMP` and `i01_01_5.bmp`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from maclip_daemon import Scorer

PUBLISHED_CLIPIQA = {"I01.BMP": 0.89160156, "i01_01_5.bmp": 0.45898438}
"""CLIP-IQA's demonstration, computed by its authors in fp16."""


@pytest.fixture
def rn50() -> str:
    path = os.environ.get("MACLIP_TEST_RN50")
    if not path or not Path(path).is_file():
        pytest.skip("MACLIP_TEST_RN50 does not name OpenAI's RN50.pt")
    return f"file:{path}"


@pytest.fixture
def images() -> Path:
    folder = os.environ.get("MACLIP_TEST_TID2013")
    if not folder or not all((Path(folder) / name).is_file() for name in PUBLISHED_CLIPIQA):
        pytest.skip(f"MACLIP_TEST_TID2013 does not name a folder with {', '.join(PUBLISHED_CLIPIQA)}")
    return Path(folder)


@pytest.mark.weights
def test_clip_iqa_gives_its_published_values(rn50: str, images: Path, tmp_path: Path) -> None:
    scorer = Scorer(rn50, "clipiqa", "native", device="cpu", precision="fp32", data_dir=tmp_path)
    for name, published in PUBLISHED_CLIPIQA.items():
        score = scorer.score(images / name).score
        print(f"clipiqa native {name}: {score:.8f} (published, fp16: {published})")
        assert score == pytest.approx(published, abs=5e-3)


@pytest.mark.weights
def test_maclip_values_are_printed_for_the_record(rn50: str, images: Path, tmp_path: Path) -> None:
    for protocol in ("native", "spaq448"):
        scorer = Scorer(rn50, "maclip", protocol, device="cpu", precision="fp32", data_dir=tmp_path)
        good, bad = (scorer.score(images / name) for name in PUBLISHED_CLIPIQA)
        for name, score in (("I01.BMP", good), ("i01_01_5.bmp", bad)):
            print(
                f"maclip {protocol} {name}: {score.score:.8f} q_sim {score.q_sim:.6f} q_mag {score.q_mag:.6f}"
            )
        assert good.score > bad.score
