"""The built-in weights on real photographs, and the program that trains them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import catalogue, loading
from maclip_daemon.iqa.models.checkpoints import load_checkpoint
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.scorer import Scorer
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.engine import Engine
from maclip_daemon.training.degradation_order import share_in_order
from maclip_daemon.training.degradations import Pixels

ROOT = Path(__file__).parents[2]
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")
LADDERS = ("gaussian_blur", "motion_blur", "white_noise", "jpeg", "downscaling")
MAXIMUM_BYTES = 12_000_000


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    """Return the sample photographs of scikit-image."""
    folder = Path(skimage.__file__).parent / "data"
    return [np.array(Image.open(folder / name).convert("RGB")) for name in SAMPLES]


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return Scorer(model="builtin", device="cpu", precision="fp32", data_dir=tmp_path_factory.mktemp("data"))


def test_the_weights_are_small_and_match_their_model_card() -> None:
    card = json.loads(catalogue.BUILTIN_WEIGHTS.with_suffix(".json").read_text(encoding="utf-8"))
    resolved = catalogue.resolve_builtin()  # checks the SHA-256
    assert catalogue.BUILTIN_WEIGHTS.stat().st_size <= MAXIMUM_BYTES
    assert resolved.name == f"builtin@{card['version']}"
    assert card["sha256"] in (ROOT / "docs" / "builtin-model.md").read_text(encoding="utf-8")


def test_the_star_edges_rise() -> None:
    for metric in ("maclip", "magnitude"):
        edges = catalogue.resolve_builtin().edges[metric]
        assert len(edges) == 4
        assert list(edges) == sorted(set(edges))


def test_the_file_names_its_contents() -> None:
    checkpoint = load_checkpoint(catalogue.BUILTIN_WEIGHTS)
    assert "Good image" in checkpoint.stored_prompts
    assert "Good photo." in checkpoint.stored_prompts
    assert "High-quality image." in checkpoint.stored_prompts


def test_five_ladders_of_real_photos_are_in_order(scorer: Scorer, photos: list[Pixels]) -> None:
    def scores_of(some: Sequence[Pixels]) -> list[float]:
        return [score.score for score in scorer.score_many([Image.fromarray(each) for each in some])]

    order = share_in_order(scores_of, photos, LADDERS)
    assert np.mean(list(order.values())) >= 0.95, order


def test_a_large_photo_is_worth_less_once_it_was_compressed_strongly(scorer: Scorer, tmp_path: Path) -> None:
    small = Image.open(Path(skimage.__file__).parent / "data" / "motorcycle_left.png").convert("RGB")
    large = np.asarray(small.resize((3 * small.width, 3 * small.height), Image.Resampling.BICUBIC))
    grain = np.random.default_rng(1).normal(0, 5, (*large.shape[:2], 1))
    photo = Image.fromarray(np.clip(np.rint(large + grain), 0, 255).astype(np.uint8))
    found = []
    for quality in (95, 20):
        path = tmp_path / f"{quality}.jpg"
        photo.save(path, quality=quality)
        found.append(scorer.score(path))
    original, spoilt = found
    assert (original.tiles, spoilt.tiles) == (8, 8)
    assert original.score > spoilt.score + 0.02


@pytest.mark.parametrize("cue", ["q_sim", "q_mag"])
def test_both_cues_fall_for_a_degraded_photo(scorer: Scorer, photos: list[Pixels], cue: str) -> None:
    for photo in photos:
        image = Image.fromarray(photo)
        spoilt = image.resize((64, 64)).resize(image.size)
        assert getattr(scorer.score(image), cue) > getattr(scorer.score(spoilt), cue) + 0.1


@pytest.mark.parametrize("metric", ["clipiqa", "qualiclip", "magnitude"])
def test_the_other_metrics_run_on_it_and_fall_for_a_degraded_photo(
    metric: str, photos: list[Pixels], tmp_path: Path
) -> None:
    scorer = Scorer(model="builtin", metric=metric, device="cpu", precision="fp32", data_dir=tmp_path)
    image = Image.fromarray(photos[0])
    assert scorer.score(image).score > scorer.score(image.resize((64, 64)).resize(image.size)).score


def test_a_score_does_not_depend_on_the_batch(photos: list[Pixels], tmp_path: Path) -> None:
    metric = metrics.maclip()
    loaded = loading.load(catalogue.resolve_builtin(), metric, tmp_path)
    pixels = [PhotoPixels(photo) for photo in photos]
    together = Engine(loaded, metric, batch=BatchSize(40)).score(pixels)
    alone = [Engine(loaded, metric, batch=BatchSize(3)).score([photo])[0] for photo in pixels]
    for first, second in zip(together, alone, strict=True):
        assert first.score == pytest.approx(second.score, abs=1e-4)


@pytest.mark.long_form
def test_the_training_program_runs_every_stage(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "training.py"), "--smoke", "--threads", "1"]
    finished = subprocess.run(
        [*command, "--work", str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert "tuned: score all" in finished.stdout
    resolved = catalogue.resolve_builtin(tmp_path / "builtin.safetensors")
    assert resolved.protocol == "detail-8"
    again = subprocess.run(
        [*command, "--work", str(tmp_path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert again.returncode == 0, again.stderr
    assert "step" not in again.stdout.split("tuned")[0]  # the first stage is not run again
