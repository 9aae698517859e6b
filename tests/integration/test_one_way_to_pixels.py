"""`Scorer`, `maclip score` and `maclip eval` decode with the same decoder, so their scores are equal."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maclip_daemon import Scorer
from maclip_daemon.errors import MaclipError, Poison
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from maclip_daemon.pipeline.commands import score_photos
from maclip_daemon.settings import DecodingSettings, ScoringSettings, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import STILL_FORMATS, exif_bytes, picture, still_bytes, write_dng

PROTOCOL = "long-edge-400"
ROUNDING = 1e-6  # batches of other sizes add up in another order
LARGE = (2600, 1950)  # pixels; far enough above the protocol for a reduction in two steps


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"file:{write_seeded_checkpoint(tmp_path_factory.mktemp('models') / 'seeded.safetensors')}"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Write two photos of every kind, one with an EXIF orientation; the JPEG and PNG are large."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, (turn, size) in enumerate(((1, (640, 480)), (6, LARGE))):
        for suffix in STILL_FORMATS:
            exif = {} if suffix == "tif" else {"exif": exif_bytes(turn)}
            image = picture(*(size if suffix in ("jpg", "png") else (640, 480)), seed=seed)
            (folder / f"{turn}.{suffix}").write_bytes(still_bytes(image, suffix, **exif))
        write_dng(folder / f"{turn}.dng", 1200, 960, preview=picture(600, 480, seed), orientation=turn)
    return sorted(folder.iterdir())


def settings_for(model: str, tmp_path: Path, decoding: DecodingSettings) -> Settings:
    scoring = ScoringSettings(model=model, protocol=PROTOCOL, device="cpu", precision="fp32", threads=1)
    return Settings(data_dir=tmp_path / "data", scoring=scoring, decoding=decoding)


def scores_of_maclip_score(photos: list[Path], settings: Settings) -> dict[str, float]:
    rows = list(score_photos.score(photos, settings))
    assert [row["error"] for row in rows] == [None] * len(photos)
    return {Path(row["path"]).name: row["score"] for row in rows}


def scores_of_maclip_eval(photos: list[Path], model: str, tmp_path: Path, *options: str) -> dict[str, float]:
    opinions = "".join(f"{photo.name},{number}\n" for number, photo in enumerate(photos))
    (tmp_path / "mos.csv").write_text(f"image,mos\n{opinions}")
    command = [sys.executable, "-m", "maclip_daemon", "eval", str(photos[0].parent), "--mos", "mos.csv"]
    command += ["--model", model, "--protocol", PROTOCOL, "--device", "cpu", "--bootstrap", "0"]
    environment = os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "--report", "report", *options],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "report" / "scores.csv").open() as stream:
        _, *rows = csv.reader(stream)
    return {Path(row[0]).name: float(row[3]) for row in rows}


def scores_of_scorer(photos: list[Path], settings: Settings) -> dict[str, float]:
    scoring = settings.scoring
    with Scorer(
        scoring.model,
        protocol=scoring.protocol,
        device=scoring.device,
        precision="fp32",
        decoding=settings.decoding,
        data_dir=settings.data_dir,
    ) as scorer:
        return {photo.name: scorer.score(photo).score for photo in photos}


def test_a_photo_of_any_kind_has_the_same_score_in_all_three_ways(
    photos: list[Path], model: str, tmp_path: Path
) -> None:
    settings = settings_for(model, tmp_path, DecodingSettings(two_step_reduction=False, workers=2))
    scores = scores_of_maclip_score(photos, settings)
    assert len({round(score, 5) for score in scores.values()}) > 10, "the photos must differ"
    assert scores_of_scorer(photos, settings) == pytest.approx(scores, abs=ROUNDING)
    evaluated = scores_of_maclip_eval(photos, model, tmp_path, "--exif-rotation")
    assert evaluated == pytest.approx(scores, abs=ROUNDING)


@pytest.mark.long_form
def test_a_scorer_decodes_as_the_daemon_does_by_default(
    photos: list[Path], model: str, tmp_path: Path
) -> None:
    settings = settings_for(model, tmp_path, DecodingSettings(workers=2))
    scores = scores_of_maclip_score(photos, settings)
    with Scorer(model, protocol=PROTOCOL, device="cpu", precision="fp32", data_dir=tmp_path) as scorer:
        by_default = dict(zip(scores, (found.score for found in scorer.score_many(photos)), strict=True))
    assert by_default == pytest.approx(scores, abs=ROUNDING)
    in_one_step = settings_for(model, tmp_path, DecodingSettings(two_step_reduction=False))
    large = [photo for photo in photos if photo.name in ("6.jpg", "6.png")]
    for name, score in scores_of_scorer(large, in_one_step).items():
        assert abs(score - scores[name]) > ROUNDING, "two steps must have been taken"


def test_a_scorer_names_a_file_that_is_no_photo_and_continues(model: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no image")
    (tmp_path / "b.jpg").write_bytes(still_bytes(picture(), "jpg"))
    (tmp_path / "link.jpg").symlink_to("b.jpg")
    with Scorer(model, device="cpu", data_dir=tmp_path) as scorer:
        with pytest.raises(Poison, match=r"a\.jpg: it is not a photo"):
            scorer.score(tmp_path / "a.jpg")
        with pytest.raises(MaclipError, match=r"gone\.jpg: it is gone"):
            scorer.score(tmp_path / "gone.jpg")
        assert scorer.score(tmp_path / "link.jpg") == scorer.score(str(tmp_path / "b.jpg"))
        (tmp_path / "b.jpg").rename(tmp_path / "0123456789abcdef")
        (tmp_path / "link.jpg").unlink()
        (tmp_path / "link.jpg").symlink_to("0123456789abcdef")
        assert scorer.score(tmp_path / "link.jpg").views == 5


def test_orientation_is_applied_only_when_the_setting_asks_for_it(model: str, tmp_path: Path) -> None:
    (tmp_path / "turned.png").write_bytes(still_bytes(picture(400, 300), "png", exif=exif_bytes(6)))
    sizes = []
    for turned in (True, False):
        decoding = DecodingSettings(exif_rotation=turned)
        with Scorer(model, protocol="native", device="cpu", decoding=decoding, data_dir=tmp_path) as scorer:
            score = scorer.score(tmp_path / "turned.png")
        sizes.append((score.width, score.height))
    assert sizes == [(300, 400), (400, 300)]
