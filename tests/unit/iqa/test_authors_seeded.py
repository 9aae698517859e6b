"""The 51 numbers that the MA-CLIP authors' own code gives for the seeded checkpoint; in every clone.

`authors_seeded.json` says where they come from. test_golden_values.py compares more numbers, view by view,
where the golden files are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.views import make_views
from tests.synthetic_photos import pixels_at, synthetic_photo

TOLERANCE = 2e-6  # rounding of fp32, which differs between processors; 5.0e-7 was seen
AUTHORS: Mapping[str, Mapping[str, float]] = json.loads(
    Path(__file__).with_name("authors_seeded.json").read_text(encoding="utf-8")
)["photos"]
VARIANTS: Mapping[str, Metric] = {
    "maclip": metrics.maclip(),
    "maclip, lambda 0": metrics.maclip(box_cox_lambda=0),
    "maclip, lambda 0.3": metrics.maclip(box_cox_lambda=0.3),
    "maclip, bases 1 and 1": metrics.maclip(base_similarity=1.0, base_magnitude=1.0),
    "maclip, alpha 2": metrics.maclip(alpha=2.0),
    "clipiqa": metrics.clipiqa(),
    "qualiclip": metrics.qualiclip(),
}


@pytest.fixture(scope="module")
def models(seeded_path: Path) -> Mapping[str, LoadedModel]:
    """The seeded checkpoint with the prompt features of each metric."""
    resolved = catalogue.resolve(f"file:{seeded_path}", seeded_path.parent)
    return {name: load(resolved, metrics.parse(name), seeded_path.parent) for name in metrics.METRICS}


def split_key(key: str) -> tuple[Metric, str]:
    """Return metric and protocol of a key such as `maclip native, alpha 2`."""
    name, _, variant = key.partition(", ")
    metric, protocol = name.split()
    return VARIANTS[f"{metric}, {variant}" if variant else metric], protocol


def test_the_file_holds_all_51_numbers() -> None:
    assert [len(numbers) for numbers in AUTHORS.values()] == [17, 17, 17]


@pytest.mark.parametrize("photo", AUTHORS)
def test_every_score_is_the_authors_own(photo: str, models: Mapping[str, LoadedModel]) -> None:
    found = re.fullmatch(r"seed (\d+), (\d+)x(\d+)", photo)
    assert found is not None
    image = Image.fromarray(synthetic_photo(*map(int, found.groups())))
    scores = {}
    for key in AUTHORS[photo]:
        metric, protocol = split_key(key)
        model = models[metric.name]
        features = model.encoder.encode(make_views(pixels_at(protocol, image), metric.views))
        scores[key] = judge(metric, features, model.prompts, model.logit_scale).score
    assert scores == pytest.approx(AUTHORS[photo], rel=0, abs=TOLERANCE)
