"""The engine on a real small model, and on encoders that misbehave in known ways."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from maclip_daemon.errors import EnvironmentUnfit, Poison, Transient
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.loaded_model import LoadedModel
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.scoring import feature_extractor
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.device import upload
from maclip_daemon.scoring.engine import Engine
from maclip_daemon.scoring.feature_extractor import FeatureExtractor


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seeded_checkpoint(tmp_path_factory.mktemp("models") / "seeded.safetensors")


def loaded(checkpoint: Path, metric: str = "maclip") -> LoadedModel:
    return load(
        catalogue.resolve(f"file:{checkpoint}", checkpoint.parent), metrics.parse(metric), checkpoint.parent
    )


def photo(seed: int, width: int = 448, height: int = 448, tiles: int = 0) -> PhotoPixels:
    generator = np.random.RandomState(seed)
    shapes = np.kron(generator.randint(0, 236, (height // 16 + 1, width // 16 + 1, 3)), np.ones((16, 16, 1)))
    picture = (shapes[:height, :width] + generator.randint(0, 20, (height, width, 3))).astype(np.uint8)
    drawn = generator.randint(0, 256, (tiles, 224, 224, 3)).astype(np.uint8)
    return PhotoPixels(picture, drawn if tiles else None)


class Misbehaving:
    """A real encoder behind a hook that may raise or spoil the features."""

    def __init__(self, encoder, hook) -> None:
        self.encoder = encoder
        self.hook = hook
        self.batches: list[int] = []

    def __getattr__(self, name: str):
        return getattr(self.encoder, name)

    def encode(self, views: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(views))
        self.hook(views)
        return self.encoder.encode(views)


def misbehaving(checkpoint: Path, hook) -> tuple[Engine, Misbehaving]:
    model = loaded(checkpoint)
    encoder = Misbehaving(model.encoder, hook)
    return Engine(dataclasses.replace(model, encoder=encoder), metrics.maclip()), encoder


def out_of_memory_above(limit: int, error: type[Exception] = torch.OutOfMemoryError, text: str = "no room"):
    def hook(views: torch.Tensor) -> None:
        if len(views) > limit:
            raise error(text)

    return hook


@pytest.mark.parametrize("metric", list(metrics.METRICS))
def test_a_score_does_not_depend_on_the_photos_in_its_batch(metric: str, checkpoint: Path) -> None:
    engine = Engine(loaded(checkpoint, metric), metrics.parse(metric))
    photos = [photo(1), photo(2, 300, 260), photo(3), photo(4, 600, 400), photo(5), photo(6, 224, 224)]
    together = engine.score(photos)
    backwards = engine.score(photos[::-1])[::-1]
    for index, one in enumerate(photos):
        alone = engine.score([one])[0]
        assert alone.score == pytest.approx(together[index].score, abs=1e-4)
        assert alone.score == pytest.approx(backwards[index].score, abs=1e-4)
        assert (alone.width, alone.height) == (one.picture.shape[1], one.picture.shape[0])


def test_a_score_does_not_depend_on_the_number_of_threads(checkpoint: Path) -> None:
    engine = Engine(loaded(checkpoint), metrics.maclip())
    before = torch.get_num_threads()
    try:
        scores = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            scores.append(engine.score([photo(1)])[0].score)
    finally:
        torch.set_num_threads(before)
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-4)


def test_a_processor_computes_batches_side_by_side_within_its_memory(checkpoint: Path) -> None:
    inside, most, expected = 0, 0, 1
    changed = threading.Condition()

    def hook(views: torch.Tensor) -> None:
        nonlocal inside, most
        with changed:
            inside += 1
            most = max(most, inside)
            changed.notify_all()
            changed.wait_for(lambda: most >= expected, 10)
            inside -= 1

    photos = [photo(seed % 3) for seed in range(18)]
    alone = [score.score for score in Engine(loaded(checkpoint), metrics.maclip()).score(photos)]
    before = torch.get_num_threads()
    try:
        for threads, views, expected in ((1, 5, 1), (3, 5, 3), (3, 40, 2), (3, 80, 1)):
            torch.set_num_threads(threads)
            inside = most = 0
            engine, encoder = misbehaving(checkpoint, hook)
            engine.extractor.batch = BatchSize(views)
            assert [score.score for score in engine.score(photos)] == pytest.approx(alone, abs=1e-4)
            assert most == expected
            assert max(encoder.batches) == views
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_an_error_beside_other_batches_is_raised_when_all_have_ended(checkpoint: Path) -> None:
    ended = []

    def hook(views: torch.Tensor) -> None:
        if float(views.mean()) > 0:
            raise ZeroDivisionError
        time.sleep(0.2)
        ended.append(len(views))

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        engine, _ = misbehaving(checkpoint, hook)
        engine.extractor.batch = BatchSize(5)
        light, dark = (PhotoPixels(np.full((448, 448, 3), value, np.uint8)) for value in (255, 0))
        with pytest.raises(ZeroDivisionError):
            engine.score([light, dark, light])
        assert ended == [5]
    finally:
        torch.set_num_threads(before)


def test_a_photo_that_fills_many_batches_goes_to_the_device_once(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded: list[tuple[int, ...]] = []

    def counted(pixels: np.ndarray, device: torch.device) -> torch.Tensor:
        uploaded.append(pixels.shape)
        return upload(pixels, device)

    monkeypatch.setattr(feature_extractor, "upload", counted)
    engine, encoder = misbehaving(checkpoint, lambda views: None)
    engine.extractor.batch = BatchSize(2)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        engine.score([photo(1), photo(2, 600, 400)])
    finally:
        torch.set_num_threads(before)
    assert len(encoder.batches) > 4
    assert uploaded == [(448, 448, 3), (400, 600, 3)]


def test_batches_are_full_across_photos(checkpoint: Path) -> None:
    engine, encoder = misbehaving(checkpoint, lambda views: None)
    engine.extractor.batch = BatchSize(8)
    engine.score([photo(seed) for seed in range(4)])
    assert encoder.batches == [8, 8, 4]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 20.00 MiB"),
        (RuntimeError, "MPS backend out of memory (MPS allocated: 5.00 GB)"),
        (RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
        (MemoryError, ""),
    ],
)
def test_out_of_memory_halves_the_batch_and_goes_on(
    error: type[Exception], text: str, checkpoint: Path
) -> None:
    engine, encoder = misbehaving(checkpoint, out_of_memory_above(6, error, text))
    reference = Engine(loaded(checkpoint), metrics.maclip())
    photos = [photo(seed, 300, 300) for seed in range(20)]
    scores = engine.score(photos)
    assert [score.score for score in scores] == pytest.approx(
        [score.score for score in reference.score(photos)], abs=1e-4
    )
    assert encoder.batches[0] == 40
    assert engine.extractor.batch.views <= 10
    encoder.batches.clear()
    engine.score(photos)
    assert max(encoder.batches) <= 10  # it has learned


def test_a_view_that_never_fits_is_that_photos_error_and_not_the_end(checkpoint: Path) -> None:
    model = loaded(checkpoint, "clipiqa")

    def hook(views: torch.Tensor) -> None:
        if views.shape[-1] > 500:
            raise torch.OutOfMemoryError("no room")

    engine = Engine(dataclasses.replace(model, encoder=Misbehaving(model.encoder, hook)), metrics.clipiqa())
    small, large, other = engine.score([photo(1), photo(2, 600, 400), photo(3)])
    assert isinstance(small, PhotoScore)
    assert isinstance(other, PhotoScore)
    assert isinstance(large, Transient)
    assert "600×400" in str(large)


def test_a_device_without_room_for_a_small_view_is_unfit(checkpoint: Path) -> None:
    engine, _ = misbehaving(checkpoint, out_of_memory_above(0))
    with pytest.raises(EnvironmentUnfit, match="memory of the device is full"):
        engine.score([photo(1), photo(2)])


def test_photos_that_find_no_room_beside_each_other_are_scored_in_turn(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, reference = (Engine(loaded(checkpoint), metrics.maclip()) for _ in range(2))
    photos = [photo(seed) for seed in range(5)]
    expected = [score.score for score in reference.score(photos)]
    works = FeatureExtractor._features

    def short_of_memory(self: FeatureExtractor, several: list[PhotoPixels], cutting: object):
        if len(several) > 2:
            raise torch.OutOfMemoryError("no room")
        return works(self, several, cutting)

    monkeypatch.setattr(FeatureExtractor, "_features", short_of_memory)
    assert [score.score for score in engine.score(photos)] == pytest.approx(expected, abs=1e-4)


def test_other_errors_are_not_taken_for_a_lack_of_memory(checkpoint: Path) -> None:
    engine, _ = misbehaving(checkpoint, out_of_memory_above(0, RuntimeError, "shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        engine.score([photo(1)])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_photo_with_features_that_are_not_finite_spoils_no_other(bad: float, checkpoint: Path) -> None:
    model = loaded(checkpoint)

    class Spoiling(Misbehaving):
        def encode(self, views: torch.Tensor) -> torch.Tensor:
            features = super().encode(views).clone()
            features[6] = bad  # a view of the second photo
            return features

    encoder = Spoiling(model.encoder, lambda views: None)
    engine = Engine(dataclasses.replace(model, encoder=encoder), metrics.maclip())
    first, second, third = engine.score([photo(1), photo(2), photo(3)])
    assert isinstance(first, PhotoScore)
    assert isinstance(third, PhotoScore)
    assert isinstance(second, Poison)


def test_an_overflow_in_fp16_is_scored_again_in_fp32(checkpoint: Path) -> None:
    model = loaded(checkpoint)

    class Overflowing(Misbehaving):
        precision = "fp16"

        def encode(self, views: torch.Tensor) -> torch.Tensor:
            return super().encode(views) * math.inf

    encoder = Overflowing(model.encoder, lambda views: None)
    engine = Engine(
        dataclasses.replace(model, encoder=encoder), metrics.maclip(), exact=lambda: loaded(checkpoint)
    )
    score = engine.score([photo(1)])[0]
    assert score.precision == "fp32"
    assert score.score == Engine(model, metrics.maclip()).score([photo(1)])[0].score


def test_pixels_that_cannot_be_judged_are_refused(checkpoint: Path) -> None:
    engine = Engine(loaded(checkpoint), metrics.maclip())
    narrow, gray, good = engine.score([photo(1, 100, 448), PhotoPixels(photo(1).picture[:, :, 0]), photo(1)])
    assert isinstance(narrow, Poison)
    assert isinstance(gray, Poison)
    assert isinstance(good, PhotoScore)


def test_a_tower_for_one_size_gets_the_whole_photo_squashed(checkpoint: Path) -> None:
    model = loaded(checkpoint, "clipiqa")
    encoder = Misbehaving(model.encoder, lambda views: None)
    encoder.any_size = False
    engine = Engine(dataclasses.replace(model, encoder=encoder), metrics.clipiqa())
    assert all(isinstance(score, PhotoScore) for score in engine.score([photo(1), photo(2, 600, 400)]))
    assert encoder.batches == [2]


@pytest.mark.parametrize("metric", list(metrics.METRICS))
def test_tiles_make_the_detail_cue_and_leave_the_overall_cue_alone(metric: str, checkpoint: Path) -> None:
    engine = Engine(loaded(checkpoint, metric), metrics.parse(metric), protocol=parse("detail-8"))
    tiled, plain = photo(1, 544, 363, tiles=8), photo(1, 544, 363)
    with_tiles, alone, again = engine.score([tiled, plain, tiled])
    assert with_tiles.tiles == 8
    assert with_tiles.views == alone.views + 8 == len(with_tiles.view_scores)
    assert with_tiles.overall == pytest.approx(alone.overall, abs=1e-6)
    assert with_tiles.detail == pytest.approx(np.mean(with_tiles.view_scores[-8:]), abs=1e-9)
    assert with_tiles.score == with_tiles.overall, "the model has no fitted fusion"
    assert (alone.detail, alone.tiles, alone.score) == (None, 0, alone.overall)
    assert again.detail == pytest.approx(with_tiles.detail, abs=1e-6)


def test_a_tile_is_judged_as_a_photo_of_its_size(checkpoint: Path) -> None:
    model = loaded(checkpoint, "clipiqa")
    engine = Engine(model, metrics.clipiqa(), protocol=parse("detail-2"))
    tiled = photo(1, 300, 260, tiles=2)
    assert tiled.tiles is not None
    whole, *tiles = engine.score([tiled, *(PhotoPixels(tile) for tile in tiled.tiles)])
    assert whole.view_scores[1:] == pytest.approx([tile.score for tile in tiles], abs=1e-5)


def test_tiles_of_another_shape_are_refused(checkpoint: Path) -> None:
    engine = Engine(loaded(checkpoint), metrics.maclip(), protocol=parse("detail-2"))
    odd = PhotoPixels(photo(1).picture, np.zeros((2, 200, 224, 3), np.uint8))
    assert isinstance(engine.score([odd])[0], Poison)


def test_tiles_fill_the_batches_of_several_photos(checkpoint: Path) -> None:
    model = loaded(checkpoint)
    encoder = Misbehaving(model.encoder, lambda views: None)
    engine = Engine(
        dataclasses.replace(model, encoder=encoder),
        metrics.maclip(),
        protocol=parse("detail-8"),
        batch=BatchSize(10),
    )
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        engine.score([photo(seed, 544, 363, tiles=8) for seed in range(4)])
    finally:
        torch.set_num_threads(before)
    assert encoder.batches == [10] * 6
