from pathlib import Path

import pytest

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.evaluation.score_cache import ImageVersion, ScoreCache, ScoreKey

IMAGE = ImageVersion("/photos/a.jpg", 10, 20)


def _key(metric: str = "maclip", image: ImageVersion = IMAGE) -> ScoreKey:
    return ScoreKey(image, metric, "builtin", "native")


def test_scores_outlive_the_program(tmp_path: Path) -> None:
    file = tmp_path / "report" / "scores.jsonl"
    with ScoreCache(file, "fp32") as cache:
        cache.add(IMAGE, "builtin", "native", {"maclip": 0.8125, "λ = 0.3": 0.5})
    with ScoreCache(file, "fp32") as cache:
        assert cache.get(_key()) == 0.8125
        assert cache.get(_key("λ = 0.3")) == 0.5
        assert cache.get(_key("clipiqa")) is None


def test_a_changed_image_or_other_conditions_are_not_the_same_score(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    with ScoreCache(file, "fp32") as cache:
        cache.add(IMAGE, "builtin", "native", {"maclip": 0.8})
        assert cache.get(_key(image=ImageVersion(IMAGE.path, 10, 21))) is None
    with ScoreCache(file, "bf16") as cache:
        assert cache.get(_key()) is None


def test_a_line_that_was_cut_off_is_ignored_and_the_next_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    with ScoreCache(file) as cache:
        cache.add(IMAGE, "builtin", "native", {"maclip": 0.8})
        cache.add(IMAGE, "builtin", "native", {"clipiqa": 0.7})
    text = file.read_text()
    file.write_text(text[:-20])
    with ScoreCache(file) as cache:
        assert cache.get(_key()) == 0.8
        assert cache.get(_key("clipiqa")) is None
        cache.add(IMAGE, "builtin", "native", {"clipiqa": 0.6})
    with ScoreCache(file) as cache:
        assert cache.get(_key("clipiqa")) == 0.6


@pytest.mark.parametrize("line", ["7", "[]", "{}", '{"image": 1, "scores": []}', "\x00\xff"])
def test_strange_lines_are_ignored(tmp_path: Path, line: str) -> None:
    file = tmp_path / "scores.jsonl"
    file.write_text(line + "\n")
    with ScoreCache(file) as cache:
        assert cache.get(_key()) is None


def test_without_a_file_scores_are_kept_in_memory() -> None:
    with ScoreCache() as cache:
        cache.add(IMAGE, "builtin", "native", {"maclip": 0.8})
        assert cache.get(_key()) == 0.8


def test_a_folder_that_cannot_be_created_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentUnfit, match="Choose another folder with --report"):
        ScoreCache(tmp_path / "file" / "scores.jsonl")
