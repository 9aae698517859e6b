from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from maclip_daemon.evaluation.candidates import Candidate, ablations, judgements
from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.evaluation.runner import FailedImage, ScoreTable
from maclip_daemon.evaluation.summary import WHOLE, Summary, as_json, summarise, warnings
from maclip_daemon.iqa import metrics, protocols

NATIVE = protocols.parse("native")


def _scores(count: int = 60, *, with_ablations: bool = False) -> ScoreTable:
    generator = np.random.default_rng(1)
    images = tuple(
        RatedImage(Path(f"{number}.jpg"), float(generator.normal()), ("a", "b", "few")[min(number // 28, 2)])
        for number in range(count)
    )
    opinions = np.array([image.mos for image in images])
    chosen = judgements([metrics.parse("maclip")], ablations()[:2] if with_ablations else ())
    columns = {
        Candidate(judgement, "builtin@1", NATIVE): opinions + generator.normal(0, 0.2 + rank, count)
        for rank, judgement in enumerate(chosen)
    }
    return ScoreTable(images, columns, (), 0)


def _summarise(scores: ScoreTable) -> Summary:
    return summarise(scores, resamples=100, seed=0)


def test_the_whole_comes_first_and_subsets_of_fewer_than_ten_are_left_out() -> None:
    rows = _summarise(_scores()).rows
    assert [(row.subset, row.agreement.images) for row in rows] == [(WHOLE, 60), ("a", 28), ("b", 28)]


def test_images_that_failed_do_not_count() -> None:
    scores = _scores()
    (candidate, column), *_ = scores.by_candidate.items()
    column[:10] = np.nan
    opinions = np.array([image.mos for image in scores.images])
    row = _summarise(scores).rows[0]
    assert row.agreement.images == 50
    expected = scipy.stats.spearmanr(column[10:], opinions[10:]).statistic
    assert row.agreement.srcc == pytest.approx(expected)
    assert row.candidate == candidate


def test_an_ablation_is_compared_with_maclip_on_the_same_resamples() -> None:
    summary = _summarise(_scores(with_ablations=True))
    assert [row.candidate.judgement.name for row in summary.rows] == ["maclip"] * 3
    published, weak, weaker = summary.ablations
    assert published.candidate == summary.rows[0].candidate
    assert published.srcc_difference == 0
    assert weaker.srcc_difference < weak.srcc_difference < 0
    assert weak.difference_interval is not None
    assert weak.difference_interval.low < weak.srcc_difference < weak.difference_interval.high < 0
    assert weak.srcc_difference == pytest.approx(weak.agreement.srcc - summary.rows[0].agreement.srcc)


def test_undefined_figures_are_null_in_json_and_explained_in_a_sentence() -> None:
    scores = _scores()
    column = next(iter(scores.by_candidate.values()))
    column[:] = np.nan
    summary = _summarise(
        ScoreTable(scores.images, scores.by_candidate, (FailedImage(Path("x.jpg"), "broken"),), 0)
    )
    content = as_json(summary)
    assert content["agreement"][0]["srcc"] is None
    assert content["agreement"][0]["fit"] is None
    assert content["failures"] == [{"image": "x.jpg", "reason": "broken"}]
    assert warnings(summary.rows) == [
        "The scores are constant or missing, so nothing can be correlated: maclip · builtin@1 · native · all."
    ]
