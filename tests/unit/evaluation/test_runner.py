import dataclasses
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from maclip_daemon.errors import NoSpace, Poison
from maclip_daemon.evaluation.candidates import Candidate, Judgement, ablations, judgements
from maclip_daemon.evaluation.feature_model import FeatureModel, load_feature_model
from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.evaluation.runner import run
from maclip_daemon.evaluation.score_cache import ScoreCache
from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.models import catalogue
from maclip_daemon.iqa.models.loading import load
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.iqa.tile_cutting import stacked
from maclip_daemon.photos import regular_file
from maclip_daemon.photos.decoding import decode
from maclip_daemon.scoring.batch_size import BatchSize
from maclip_daemon.scoring.engine import Engine

ALL = judgements([metrics.parse(name) for name in metrics.METRICS], ablations())
GOLDEN = Path(__file__).parents[3] / "../shared/golden"


def decode_in_process(path: Path, protocol: Protocol) -> PhotoPixels:
    """Decode as the evaluation does, without a process: as stored, in one step."""
    with regular_file.opened(str(path.resolve())) as file:
        as_stored = {"exif_rotation": False, "two_steps": False, "colour_conversion": False}
        found = decode(file, path.name, protocol, max_megapixels=100, **as_stored)
    return PhotoPixels(np.array(found.image), None if found.tiles is None else stacked(found.tiles))


def _model(checkpoint: Path, chosen: list[Judgement] = ALL) -> FeatureModel:
    resolved = catalogue.resolve(f"file:{checkpoint}", checkpoint.parent)
    return load_feature_model(
        resolved, chosen, checkpoint.parent, device=torch.device("cpu"), precision="fp32"
    )


def _candidates(
    model: FeatureModel, chosen: list[Judgement], *names: str
) -> tuple[list[Candidate], dict[str, FeatureModel]]:
    sizes: list[Protocol] = [protocols.parse(name) for name in names]
    return [Candidate(judgement, model.identity, size) for size in sizes for judgement in chosen], {
        model.identity: model
    }


class Counting:
    """A decoder and a feature extractor that count."""

    def __init__(self, model: FeatureModel, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded: list[tuple[Path, str]] = []
        self.encoded: list[tuple[int, str]] = []
        features = model.features

        def counted(photos, kind, *, centred):  # type: ignore[no-untyped-def]
            self.encoded.append((len(photos), kind))
            return features(photos, kind, centred=centred)

        monkeypatch.setattr(model, "features", counted)

    def decode(self, path: Path, protocol: Protocol) -> PhotoPixels:
        self.decoded.append((path, protocol.name))
        return decode_in_process(path, protocol)


def test_every_image_is_decoded_once_a_protocol_and_every_kind_of_view_encoded_once(
    checkpoint: Path, make_images, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_images(10)
    model = _model(checkpoint)
    counting = Counting(model, monkeypatch)
    candidates, by_name = _candidates(model, ALL, "native", "agiqa224")
    with ScoreCache() as cache:
        scores = run(images, candidates, by_name, counting.decode, cache)
    expected = [(image.path, name) for image in images for name in ("native", "agiqa224")]
    assert sorted(counting.decoded) == sorted(expected)
    photos = {kind: sum(n for n, k in counting.encoded if k == kind) for kind in ("crops", "whole")}
    assert photos == {"crops": 20, "whole": 20}  # ten images under two protocols, for 16 judgements
    assert scores.computed == 10 * len(candidates)
    assert all(np.isfinite(column).all() for column in scores.by_candidate.values())


def test_an_interrupted_run_goes_on_and_computes_only_what_is_missing(
    checkpoint: Path, make_images, tmp_path: Path
) -> None:
    images = make_images(20)
    chosen = ALL[:1]
    candidates, by_name = _candidates(_model(checkpoint, chosen), chosen, "native")
    file = tmp_path / "scores.jsonl"

    def interrupt(done: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), ScoreCache(file) as cache:
        run(images, candidates, by_name, decode_in_process, cache, interrupt)
    decoded: list[Path] = []
    progress: list[int] = []
    with ScoreCache(file) as cache:
        scores = run(
            images,
            candidates,
            by_name,
            lambda path, protocol: decoded.append(path) or decode_in_process(path, protocol),
            cache,
            progress.append,
        )
    assert scores.computed == len(decoded) == 12
    assert (progress[0], progress[-1]) == (8, 20)
    names = [json.loads(line)["image"] for line in file.read_text().splitlines()]
    assert len(names) == len(set(names)) == 20
    with ScoreCache() as cache:
        whole = run(images, candidates, by_name, decode_in_process, cache)
    assert scores.by_candidate[candidates[0]] == pytest.approx(whole.by_candidate[candidates[0]], abs=1e-6)


def test_a_changed_image_is_scored_again(checkpoint: Path, make_images, tmp_path: Path) -> None:
    images = make_images(10)
    candidates, by_name = _candidates(_model(checkpoint, ALL[:1]), ALL[:1], "native")
    for computed in (10, 1):
        with ScoreCache(tmp_path / "scores.jsonl") as cache:
            assert run(images, candidates, by_name, decode_in_process, cache).computed == computed
        Image.open(images[3].path).rotate(180).save(images[3].path)


def test_a_changed_parameter_is_another_score(checkpoint: Path, make_images, tmp_path: Path) -> None:
    images = make_images(10)
    changed = Judgement("maclip", metrics.maclip(alpha=2.0))
    assert changed.key != ALL[0].key
    model = _model(checkpoint, [ALL[0], changed])
    for judgement in (ALL[0], changed):
        candidates, by_name = _candidates(model, [judgement], "native")
        with ScoreCache(tmp_path / "scores.jsonl") as cache:
            assert run(images, candidates, by_name, decode_in_process, cache).computed == 10


def test_images_that_fail_are_listed_and_the_others_are_scored(checkpoint: Path, make_images) -> None:
    images = make_images(12)
    images[2].path.write_bytes(b"not a picture")
    images[5].path.unlink()
    images[7] = dataclasses.replace(images[7], path=images[7].path.with_name("strip.png"))
    Image.new("RGB", (40_000, 1)).save(images[7].path)
    candidates, by_name = _candidates(_model(checkpoint, ALL[:1]), ALL[:1], "native")
    with ScoreCache() as cache:
        scores = run(images, candidates, by_name, decode_in_process, cache)
    reasons = {failure.path: failure.reason for failure in scores.failures}
    assert set(reasons) == {images[2].path, images[5].path, images[7].path}
    assert "not a photo" in reasons[images[2].path]
    assert "No such file" in reasons[images[5].path]
    assert "too narrow" in reasons[images[7].path]
    missing = np.isnan(scores.by_candidate[candidates[0]])
    assert list(np.flatnonzero(missing)) == [2, 5, 7]


def test_a_score_that_is_not_finite_fails_that_image_alone(
    checkpoint: Path, make_images, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = make_images(10)
    model = _model(checkpoint, ALL[:1])
    features = model.features

    def poisoned(photos, kind, *, centred):  # type: ignore[no-untyped-def]
        found = features(photos, kind, centred=centred)
        return [torch.full_like(found[0], torch.nan), *found[1:]]

    monkeypatch.setattr(model, "features", poisoned)
    candidates, by_name = _candidates(model, ALL[:1], "native")
    with ScoreCache() as cache:
        scores = run(images, candidates, by_name, decode_in_process, cache)
    assert [failure.path for failure in scores.failures] == [images[0].path, images[8].path]


def test_photos_of_many_views_and_of_few_share_batches_without_mixing(checkpoint: Path, make_images) -> None:
    images = [*make_images(3), *make_images(2, size=(608, 480), subset="large"), *make_images(1)]
    model = _model(checkpoint, ALL[:1])
    photos = [decode_in_process(image.path, protocols.parse("native")) for image in images]
    alone = [model.features([photo], "crops", centred=False)[0] for photo in photos]
    model._extractor.batch = BatchSize(5)
    together = model.features(photos, "crops", centred=False)
    assert [len(features) for features in together] == [2, 2, 2, 13, 13, 2]
    for left, right in zip(together, alone, strict=True):
        assert torch.allclose(left, right, atol=1e-5)


def test_a_reason_does_not_repeat_the_path(checkpoint: Path, make_images) -> None:
    def refuse(path: Path, protocol: Protocol) -> PhotoPixels:
        raise Poison(f"{path}: it is a moving picture")

    candidates, by_name = _candidates(_model(checkpoint, ALL[:1]), ALL[:1], "native")
    with ScoreCache() as cache:
        scores = run(make_images(10), candidates, by_name, refuse, cache)
    assert {failure.reason for failure in scores.failures} == {"it is a moving picture"}


def test_a_machine_that_cannot_decode_ends_the_run(checkpoint: Path, make_images) -> None:
    def refuse(path: Path, protocol: Protocol) -> PhotoPixels:
        raise NoSpace("The disk is full.")

    candidates, by_name = _candidates(_model(checkpoint, ALL[:1]), ALL[:1], "native")
    with ScoreCache() as cache, pytest.raises(NoSpace):
        run(make_images(10), candidates, by_name, refuse, cache)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden checkpoint lies outside of the repository")
def test_scores_and_ablations_equal_what_the_authors_code_measured() -> None:
    expected = json.loads((GOLDEN / "expected.json").read_text())
    images = [
        RatedImage(path, 0.0) for path in sorted((GOLDEN / "images").iterdir()) if path.name in expected
    ]
    chosen = [
        *judgements([metrics.parse("maclip"), metrics.parse("clipiqa")], ablations()),
    ]
    candidates, by_name = _candidates(_model(GOLDEN / "checkpoint.pt", chosen), chosen, "native")
    with ScoreCache() as cache:
        scores = run(images, candidates, by_name, decode_in_process, cache)
    columns = {candidate.label[0]: column for candidate, column in scores.by_candidate.items()}
    for number, image in enumerate(images):
        golden = expected[image.path.name]
        assert columns["maclip"][number] == pytest.approx(golden["maclip_native"]["q"], abs=1e-5)
        assert columns["q_sim alone"][number] == pytest.approx(golden["maclip_native"]["q_sim"], abs=1e-5)
        assert columns["q_mag alone"][number] == pytest.approx(golden["maclip_native"]["q_mag"], abs=1e-5)
        assert columns["λ = 0.3"][number] == pytest.approx(golden["maclip_native"]["lam_03"], abs=1e-5)
        symmetric = columns["symmetric bases (1.0, 1.0)"][number]
        assert symmetric == pytest.approx(golden["maclip_native"]["base_1_1"], abs=1e-5)
        norm = np.mean(golden["maclip_native"]["norm_views"])
        assert columns["raw magnitude ‖f‖ alone"][number] == pytest.approx(norm, rel=1e-5)
        assert columns["clipiqa"][number] == pytest.approx(golden["clipiqa"]["q"], abs=1e-5)


BLOCKS_FUSION = {
    "version": 3,
    "protocol": "detail-8",
    "metrics": {
        "maclip": {
            "score": {
                "inputs": ["overall", "detail", "tile_blocks"],
                "mean": [0.0] * 3,
                "std": [1.0] * 3,
                "layers": [{"weight": [[0.25, 0.75, -0.001]], "bias": [0.1]}],
            }
        }
    },
}


@pytest.fixture
def checkpoint_with_fusion(checkpoint: Path, tmp_path: Path) -> Path:
    """Return the same weights with a fusion that needs the blocks of tiles."""
    path = tmp_path / "fused.safetensors"
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata() | {"fusion": json.dumps(BLOCKS_FUSION)}
    save_file(load_file(checkpoint), path, metadata)
    return path


def scores_of(model: FeatureModel, images: list[RatedImage], *names: str) -> list[npt.NDArray[np.float64]]:
    """Return the scores by MA-CLIP under each protocol, as an evaluation has them."""
    candidates, by_name = _candidates(model, ALL[:1], *names)
    with ScoreCache() as cache:
        scores = run(images, candidates, by_name, decode_in_process, cache)
    return [scores.by_candidate[candidate] for candidate in candidates]


def scored_by_engine(checkpoint: Path, images: list[RatedImage]) -> list[PhotoScore]:
    """Return the scores of the same photos at `detail-8`, as the daemon has them."""
    resolved = catalogue.resolve(f"file:{checkpoint}", checkpoint.parent)
    loaded = load(resolved, ALL[0].metric, checkpoint.parent)
    engine = Engine(loaded, ALL[0].metric, protocol=protocols.parse("detail-8"))
    photos = [decode_in_process(image.path, protocols.parse("detail-8")) for image in images]
    return [score for score in engine.score(photos) if isinstance(score, PhotoScore)]


def test_a_protocol_with_tiles_is_scored_as_the_daemon_scores(checkpoint: Path, make_images) -> None:
    images = make_images(3, size=(960, 640))
    detail, plain = scores_of(_model(checkpoint, ALL[:1]), images, "detail-8", "long-edge-544")
    assert not np.isnan(detail).any()
    expected = scored_by_engine(checkpoint, images)
    assert [score.tiles for score in expected] == [8, 8, 8]
    assert detail == pytest.approx([score.score for score in expected], abs=1e-5)
    assert np.abs(detail - plain).max() > 1e-5, "the grid is centred"


def test_blocks_in_the_tiles_are_measured_as_the_daemon_measures_them(
    checkpoint_with_fusion: Path, tmp_path: Path
) -> None:
    shapes = Image.fromarray(np.random.default_rng(0).integers(40, 215, (9, 13, 3), dtype=np.uint8))
    images = []
    for quality in (95, 10):
        path = tmp_path / f"{quality}.jpg"
        shapes.resize((1920, 1280), Image.Resampling.BICUBIC).save(path, quality=quality)
        images.append(RatedImage(path, 0.5))
    (found,) = scores_of(_model(checkpoint_with_fusion, ALL[:1]), images, "detail-8")
    expected = scored_by_engine(checkpoint_with_fusion, images)
    assert found == pytest.approx([score.score for score in expected], abs=1e-5)
    costs = [0.25 * score.overall + 0.75 * score.detail + 0.1 - score.score for score in expected]
    assert costs[0] == pytest.approx(0, abs=1e-6)
    assert costs[1] > 0.05
