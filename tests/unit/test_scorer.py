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
from maclip_daemon.settings import DecodingSettings


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


def test_an_image_has_a_score_at_the_models_own_size(model: str, image: Image.Image) -> None:
    scorer = maclip_daemon.Scorer(model, precision="fp32")
    score = scorer.score(image)
    assert isinstance(score, maclip_daemon.Score)
    assert (score.views, score.width, score.height) == (5, 448, 448)
    assert scorer.protocol.name == "spaq448"
    assert scorer.score_many([image, image])[1].score == pytest.approx(score.score, abs=1e-6)


def test_an_image_is_turned_upright_unless_the_authors_numbers_are_wanted(
    model: str, image: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    upright = maclip_daemon.Scorer(model, protocol="native", precision="fp32")
    decoding = DecodingSettings(exif_rotation=False)
    as_stored = maclip_daemon.Scorer(model, protocol="native", precision="fp32", decoding=decoding)
    with Image.open(tmp_path / "turned.png") as turned:
        assert (upright.score(turned).width, as_stored.score(turned).width) == (300, 400)
        assert as_stored.score(turned) == as_stored.score(image)


def test_a_large_image_is_reduced_in_two_steps_unless_the_authors_numbers_are_wanted(
    model: str, image: Image.Image
) -> None:
    large = image.resize((2600, 1950))
    as_the_authors = DecodingSettings(two_step_reduction=False)
    scorers = [
        maclip_daemon.Scorer(model, protocol="long-edge-400", precision="fp32", decoding=decoding)
        for decoding in (DecodingSettings(), None, as_the_authors)
    ]
    given, default, one_step = (scorer.score(large).score for scorer in scorers)
    assert given == default != one_step


def test_metrics_with_parameters_of_ones_own(model: str, image: Image.Image) -> None:
    default = maclip_daemon.Scorer(model, precision="fp32").score(image)
    other = maclip_daemon.Scorer(model, metrics.maclip(alpha=2.0), precision="fp32").score(image)
    assert other.q_sim == default.q_sim
    assert other.score != default.score


def test_an_image_whose_file_is_cut_off_is_refused(model: str, image: Image.Image, tmp_path: Path) -> None:
    image.save(tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    with (
        Image.open(tmp_path / "a.png") as cut_off,
        pytest.raises(Poison, match="the image is damaged or cut off"),
    ):
        maclip_daemon.Scorer(model).score(cut_off)


def test_names_that_mean_nothing_are_refused_at_once(model: str) -> None:
    with pytest.raises(UsageError, match="no metric"):
        maclip_daemon.Scorer(model, "brisque")
    with pytest.raises(UsageError, match="no protocol"):
        maclip_daemon.Scorer(model, protocol="tiny")
    with pytest.raises(AttributeError, match="no attribute 'Scorre'"):
        _ = maclip_daemon.Scorre
