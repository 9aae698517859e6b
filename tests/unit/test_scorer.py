from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import maclip_daemon
from maclip_daemon.errors import Poison, UsageError
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file:{write_seeded_checkpoint(tmp_path_factory.mktemp('models') / 'seeded.safetensors')}"


@pytest.fixture(scope="module")
def image() -> Image.Image:
    pixels = np.random.RandomState(1).randint(0, 256, (30, 40, 3)).astype(np.uint8)
    return Image.fromarray(pixels).resize((400, 300))


def test_importing_the_package_does_not_import_torch() -> None:
    program = "import sys, maclip_daemon; maclip_daemon.Score; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_image_and_its_file_have_the_same_score(model: str, image: Image.Image, tmp_path: Path) -> None:
    scorer = maclip_daemon.Scorer(model, precision="fp32")
    image.save(tmp_path / "a.png")
    score = scorer.score(image)
    assert isinstance(score, maclip_daemon.Score)
    assert scorer.score(tmp_path / "a.png") == score
    assert scorer.score(str(tmp_path / "a.png")).views == 5
    assert scorer.protocol.name == "spaq448"


def test_a_photo_is_turned_upright_unless_parity_is_wanted(
    model: str, image: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    upright = maclip_daemon.Scorer(model, protocol="native", precision="fp32")
    as_stored = maclip_daemon.Scorer(model, protocol="native", precision="fp32", exif_rotation=False)
    assert (upright.score(tmp_path / "turned.png").width, as_stored.score(tmp_path / "turned.png").width) == (
        300,
        400,
    )
    assert as_stored.score(tmp_path / "turned.png") == as_stored.score(image)


def test_metrics_with_parameters_of_ones_own(model: str, image: Image.Image) -> None:
    default = maclip_daemon.Scorer(model, precision="fp32").score(image)
    other = maclip_daemon.Scorer(model, metrics.maclip(alpha=2.0), precision="fp32").score(image)
    assert other.q_sim == default.q_sim
    assert other.score != default.score


def test_what_is_no_image_is_named(model: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(Poison, match=r"a\.jpg cannot be read"):
        maclip_daemon.Scorer(model).score(tmp_path / "a.jpg")


def test_names_that_mean_nothing_are_refused_at_once(model: str) -> None:
    with pytest.raises(UsageError, match="no metric"):
        maclip_daemon.Scorer(model, "brisque")
    with pytest.raises(UsageError, match="no protocol"):
        maclip_daemon.Scorer(model, protocol="tiny")
    with pytest.raises(AttributeError, match="no attribute 'Scorre'"):
        _ = maclip_daemon.Scorre
