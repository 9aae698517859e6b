"""Bursts of large photos: their scenes, frames and faults, and the fusion that is fitted on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.fusion import read_fusion
from maclip_daemon.training.bursts.burst_cache import as_views, centred_views
from maclip_daemon.training.bursts.camera_faults import FAULTS, LEVELS, Fault, apply_fault, fault_at
from maclip_daemon.training.bursts.fusion_fitting import (
    FUSION_PROTOCOL,
    INPUTS,
    JudgedBursts,
    burst_report,
    fit_fusion,
)
from maclip_daemon.training.bursts.large_photos import find_large_photos
from maclip_daemon.training.bursts.reframing import (
    FramedShot,
    Framing,
    frame_picture,
    frame_size,
    frame_tiles,
    framed,
    random_burst,
)
from maclip_daemon.training.scene_split import held_out_scenes, scenes_of, thumbnail
from maclip_daemon.training.subject_bias import bias_of_subjects, subjects_of
from maclip_daemon.training.training_views import LADDER_KINDS, crop_and_global_views
from tests.synthetic_photos import synthetic_photo

PHOTO = Image.fromarray(synthetic_photo(0, 2400, 1600))


def sharpness(pixels: NDArray[np.uint8]) -> float:
    return float(np.abs(np.diff(pixels.astype(float), axis=-2)).mean())


@pytest.mark.parametrize("kind", ["blur", "focus", "motion", "shake", "enlarged"])
def test_a_stronger_fault_leaves_less_detail(kind: str) -> None:
    frames = np.asarray(PHOTO.crop((900, 600, 1100, 760)))[None]
    found = [sharpness(apply_fault(frames, fault_at(kind, level), 1.0, 3)) for level in (0, 1, 3, 5)]
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.6 * found[0]


def test_noise_and_exposure_change_the_light_as_told() -> None:
    grey = np.full((1, 64, 64, 3), 120, np.uint8)
    noisy = apply_fault(grey, Fault("noise", 10), 1.0, 0)
    assert 8 < noisy.std() < 12
    brighter = apply_fault(grey, Fault("exposure", 1.0), 1.0, 0)
    assert abs(float(brighter.mean()) - 164) < 2  # twice the light of sRGB 120
    assert apply_fault(grey, Fault("none"), 1.0, 0) is grey


def test_the_same_seed_makes_the_same_fault() -> None:
    frames = np.asarray(PHOTO.crop((0, 0, 80, 80)))[None]
    for kind in (*FAULTS, "noise"):
        first, second = (apply_fault(frames, Fault(kind, 2.0), 1.0, 5) for _ in range(2))
        assert np.array_equal(first, second), kind


def test_a_plain_framing_is_a_crop_of_the_middle() -> None:
    width, height = frame_size(PHOTO.size)
    left, top = (PHOTO.width - width) // 2, (PHOTO.height - height) // 2
    expected = PHOTO.crop((left, top, left + width, top + height))
    assert np.array_equal(np.asarray(framed(PHOTO, Framing())), np.asarray(expected))
    box = (100, 50, 300, 250)
    part = framed(PHOTO, Framing((0.01, 0.0), 1.02, 1.0), box)
    whole = framed(PHOTO, Framing((0.01, 0.0), 1.02, 1.0))
    difference = np.abs(np.asarray(part).astype(int) - np.asarray(whole.crop(box)).astype(int))
    assert difference.max() <= 1


def test_a_frame_has_eight_tiles_and_a_small_picture() -> None:
    frame = FramedShot(Framing(), Fault("blur", 3.0), 92, 1)
    tiles = frame_tiles(PHOTO, frame)
    assert tiles.shape == (8, 224, 224, 3)
    sharp = frame_tiles(PHOTO, FramedShot(Framing(), Fault("none"), 92, 1))
    assert sharpness(tiles) < sharpness(sharp)
    small = PHOTO.resize((1088, 725))
    picture = frame_picture(small, frame, 544)
    assert max(picture.shape[:2]) == 544
    assert centred_views(picture).shape == (7, 3, 224, 224)


def test_a_burst_has_two_sharp_frames_and_pairs_of_faults_the_weaker_first() -> None:
    burst = random_burst(np.random.default_rng(4), 4)
    assert len(burst.frames) == 10
    assert burst.levels[:2] == (0.0, 0.0)
    for weak, strong in zip(burst.levels[2::2], burst.levels[3::2], strict=True):
        assert 0 < weak < strong <= 5.5
    assert set(LEVELS) >= {"over", "under"}  # exposures are told apart


def test_near_twins_are_one_scene_and_held_out_together() -> None:
    photos = [synthetic_photo(seed, 320, 240) for seed in range(12)]
    twins = [np.clip(photo.astype(int) + 3, 0, 255).astype(np.uint8) for photo in photos]
    scenes = scenes_of([thumbnail(photo) for photo in (*photos, *twins)])
    assert np.array_equal(scenes[:12], scenes[12:])
    subsets = np.array(["a"] * 24)
    mask = held_out_scenes(scenes, subsets, 0.3, 1)
    assert np.array_equal(mask[:12], mask[12:])
    assert 0 < mask.sum() < 24
    assert np.array_equal(mask, held_out_scenes(scenes, subsets, 0.3, 1))


def test_large_photos_are_found_and_their_copies_share_a_scene(tmp_path: Path) -> None:
    PHOTO.save(tmp_path / "first.jpg")
    PHOTO.save(tmp_path / "second.jpg", quality=50)
    Image.fromarray(synthetic_photo(1, 640, 480)).save(tmp_path / "small.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    found = find_large_photos(tmp_path)
    assert [photo.path.name for photo in found] == ["first.jpg", "second.jpg"]
    assert len({photo.scene for photo in found}) == 1
    assert find_large_photos(tmp_path / "nothing") == []


def test_grey_copies_are_views_of_the_same_places_and_no_ladder_ends_in_grey() -> None:
    views = crop_and_global_views(synthetic_photo(3, 300, 280), 2, np.random.default_rng(0))
    assert views.shape == (5, 3, 224, 224)
    for colour, grey in ((views[0], views[3]), (views[1], views[4])):
        luma = (colour * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(0)
        assert np.corrcoef(luma.flatten(), grey.mean(0).flatten())[0, 1] > 0.98
    assert "colour_loss" not in LADDER_KINDS


def test_subjects_are_told_by_their_light_and_colour() -> None:
    dark = np.full((64, 64, 3), 20, np.uint8)
    assert subjects_of(dark)["night"]
    assert subjects_of(dark)["black and white"]
    colourful = synthetic_photo(2, 128, 96)
    assert not subjects_of(colourful)["black and white"]


def test_a_bias_against_a_subject_is_found() -> None:
    photos = [np.full((32, 32, 3), value, np.uint8) for value in (*[20] * 15, *[120] * 30)]
    generator = np.random.default_rng(1)
    opinions = generator.uniform(0.2, 0.9, 45)
    scores = opinions - 0.2 * (np.arange(45) < 15)
    found = {
        name: (count, above, high)
        for name, count, above, _, high in bias_of_subjects(photos, scores, opinions)
    }
    assert found["night"][0] == 15
    assert found["night"][2] < 0  # judged worse than people do, surely
    assert "high key" not in found


def test_the_fusion_follows_the_cue_that_knows_the_fault() -> None:
    generator = np.random.default_rng(0)
    levels = np.tile([0.0, 0.0, 1.0, 2.5, 0.8, 4.0], (40, 1))
    overall = 0.7 + generator.normal(0, 0.05, (40, 1)) + generator.normal(0, 0.02, levels.shape)
    detail = 0.8 - 0.13 * levels + generator.normal(0, 0.02, levels.shape)
    local = 0.6 - 0.1 * levels + generator.normal(0, 0.03, levels.shape)
    blocks = np.maximum(0, generator.normal(0, 5, levels.shape))
    bursts = JudgedBursts(np.stack([overall, detail, local, blocks], axis=-1), levels)
    fusion = fit_fusion(bursts, 0.001)
    scores = fusion.scores(bursts.inputs)
    assert (scores[:, 0] > scores[:, 2]).mean() > 0.9
    assert float(scores[:, :2].mean()) == pytest.approx(float(overall[:, :2].mean()))  # sharp photos keep it
    assert fusion.weights[3] == -0.001
    without = JudgedBursts(bursts.inputs * (1, 1, 1, 0), levels)
    np.testing.assert_allclose(fit_fusion(without, 0.001).weights, fusion.weights, rtol=1e-6)
    stored = read_fusion({"fusion": json.dumps(fusion.as_metadata())}, "x")
    assert stored is not None
    networks = stored.fitted_for(metrics.maclip(), FUSION_PROTOCOL)
    assert networks is not None
    cues = dict(zip(INPUTS, bursts.inputs[0, 2].tolist(), strict=True))
    assert networks.fuse(cues, cues)[0] == pytest.approx(scores[0, 2], abs=1e-5)
    assert len(list(burst_report(scores, bursts))) == 4


def test_tiles_of_a_cache_on_the_disk_are_copied_before_they_are_worked_on() -> None:
    tiles = np.zeros((2, 4, 224, 224, 3), np.uint8)
    tiles.flags.writeable = False  # torch warns of such
    assert as_views(tiles).shape == (8, 3, 224, 224)
