"""Every metric and protocol on a seeded model and synthetic photos: today's numbers stay tomorrow's.

`seeded_scores.json` holds what this program measured; run this file as a program to measure again. The
authors' numbers for the same checkpoint are in test_authors_seeded.py.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.views import make_views
from tests.synthetic_photos import pixels_at, synthetic_photo

STORED = Path(__file__).with_name("seeded_scores.json")
SIZES = ((224, 224), (384, 260), (200, 500))
PROTOCOLS = ("native", "spaq448", "agiqa224", "long-edge-320")


def measure(checkpoint: Path) -> dict[str, dict[str, list[float | None]]]:
    measured: dict[str, dict[str, list[float | None]]] = {}
    for name in metrics.METRICS:
        metric = metrics.parse(name)
        model = load(catalogue.resolve(f"file:{checkpoint}", checkpoint.parent), metric, checkpoint.parent)
        for protocol in PROTOCOLS:
            for seed, (width, height) in enumerate(SIZES):
                image = Image.fromarray(synthetic_photo(seed, width, height))
                views = make_views(pixels_at(protocol, image), metric.views)
                score = judge(metric, model.encoder.encode(views), model.prompts, model.logit_scale)
                key = f"{width}x{height}"
                measured.setdefault(f"{name} {protocol}", {})[key] = summary(score)
    return measured


def summary(score: PhotoScore) -> list[float | None]:
    return [score.score, score.q_sim, score.q_mag, score.view_spread, score.weight_sim, float(score.views)]


def test_scores_are_what_they_were(seeded_path: Path) -> None:
    stored = json.loads(STORED.read_text())
    measured = measure(seeded_path)
    assert measured.keys() == stored.keys()
    for name, photos in stored.items():
        for photo, values in photos.items():
            assert measured[name][photo] == pytest.approx(values, abs=1e-5), (name, photo)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        found = measure(write_seeded_checkpoint(Path(folder) / "seeded.safetensors"))
    STORED.write_text(json.dumps(found, indent=1) + "\n")
