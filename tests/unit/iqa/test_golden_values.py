"""Every number of the authors' own code on the golden images, to 1e-5 in fp32; skips without the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.encoder import Encoder
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models.building import build_visual_tower
from maclip_daemon.iqa.models.checkpoints import Checkpoint, load_checkpoint
from maclip_daemon.iqa.models.loading import prompt_features
from maclip_daemon.iqa.photo_judgement import judge
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.prompts import MACLIP_PAIRS
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.iqa.views import make_views

TOLERANCE = 1e-5
VARIANTS = {
    "lam_03": metrics.maclip(box_cox_lambda=0.3),
    "lam_0": metrics.maclip(box_cox_lambda=0),
    "base_1_1": metrics.maclip(base_similarity=1.0, base_magnitude=1.0),
    "alpha_2": metrics.maclip(alpha=2.0),
}
WHOLE_PHOTO = {
    "clipiqa": metrics.clipiqa(),
    "clipiqa_5pairs": metrics.clipiqa(pairs=MACLIP_PAIRS),
    "qualiclip_prompts_t1": metrics.qualiclip(),
}
Scorer = Callable[[Metric, torch.Tensor], PhotoScore]


@pytest.fixture(scope="module")
def checkpoint(golden: Path) -> Checkpoint:
    return load_checkpoint(golden / "checkpoint.pt")


@pytest.fixture(scope="module")
def encoder(checkpoint: Checkpoint) -> Encoder:
    return Encoder(build_visual_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin))


@pytest.fixture(scope="module")
def score(checkpoint: Checkpoint) -> Scorer:
    prompts = {}

    def judged(metric: Metric, features: torch.Tensor) -> PhotoScore:
        if metric.pairs not in prompts:
            prompts[metric.pairs] = prompt_features(checkpoint, metric.pairs)
        return judge(metric, features, prompts[metric.pairs], checkpoint.logit_scale)

    return judged


def photos(golden: Path, protocol: str) -> Mapping[str, torch.Tensor]:
    return {
        path.name: torch.from_numpy(np.array(parse(protocol).resize(Image.open(path))))
        for path in sorted((golden / "images").iterdir())
    }


@pytest.mark.parametrize("protocol", ["native", "spaq448", "agiqa224"])
def test_maclip_is_the_authors_maclip_view_by_view(
    protocol: str, golden: Path, expected: Mapping[str, Any], encoder: Encoder, score: Scorer
) -> None:
    for name, pixels in photos(golden, protocol).items():
        values = expected[name][f"maclip_{protocol}"]
        features = encoder.encode(make_views(pixels, "crops"))
        result = score(metrics.maclip(), features)

        def close(ours: object, theirs: object, photo: str = name) -> None:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=TOLERANCE, err_msg=photo)

        assert result.views == values["views"]
        close(result.score, values["q"])
        close(result.q_sim, values["q_sim"])
        close(result.q_mag, values["q_mag"])
        close(result.view_scores, values["q_views"])
        close(list(result.attributes.values()), values["pairs"])
        np.testing.assert_allclose(features.norm(dim=-1).numpy(), values["norm_views"], rtol=TOLERANCE)
        view_by_view = [score(metrics.maclip(), feature[None]) for feature in features]
        close([view.q_sim for view in view_by_view], values["q_sim_views"])
        close([view.q_mag for view in view_by_view], values["q_mag_views"])
        for variant, metric in VARIANTS.items():
            close(score(metric, features).score, values[variant])
        close(score(metrics.magnitude(), features).score, values["q_mag"])


def test_whole_photo_metrics_are_the_authors(
    golden: Path, expected: Mapping[str, Any], encoder: Encoder, score: Scorer
) -> None:
    for name, pixels in photos(golden, "native").items():
        features = encoder.encode(make_views(pixels, "whole"))
        for key, metric in WHOLE_PHOTO.items():
            result = score(metric, features)
            values = expected[name][key]
            np.testing.assert_allclose(result.score, values["q"], rtol=0, atol=TOLERANCE, err_msg=name)
            np.testing.assert_allclose(
                list(result.attributes.values()), values["pairs"], rtol=0, atol=TOLERANCE, err_msg=name
            )
