import math

import numpy as np
import pytest
import scipy.stats

from maclip_daemon.evaluation import statistics

TRUE = (3.0, 40.0, 0.85, 2.0, 1.0)


def _scores(count: int = 400, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.75, 0.95, count)


def test_the_logistic_fit_recovers_known_parameters_from_scores_in_a_narrow_band() -> None:
    scores = _scores()
    fit = statistics.fit_logistic(scores, statistics.five_parameter_logistic(scores, *TRUE))
    assert fit.converged
    assert fit.monotonic
    assert fit.parameters == pytest.approx(TRUE, rel=1e-3)


def test_the_fit_takes_scores_whose_sign_is_turned_around() -> None:
    scores = _scores()
    opinions = statistics.five_parameter_logistic(scores, *TRUE)
    turned = statistics.agreement(-scores, opinions)
    assert turned.srcc == pytest.approx(-1)
    assert turned.plcc == pytest.approx(1, abs=1e-9)
    assert turned.srcc_fitted == pytest.approx(1)


def test_figures_equal_those_of_scipy() -> None:
    generator = np.random.default_rng(3)
    scores = np.round(generator.normal(size=200), 1)  # with ties
    opinions = scores + generator.normal(size=200)
    measured = statistics.agreement(scores, opinions)
    assert measured.srcc == pytest.approx(scipy.stats.spearmanr(scores, opinions).statistic, abs=1e-12)
    assert measured.krcc == pytest.approx(scipy.stats.kendalltau(scores, opinions).statistic, abs=1e-12)
    assert measured.fit is not None
    fitted = measured.fit.predict(scores)
    after = scipy.stats.spearmanr(fitted, opinions).statistic
    assert measured.srcc_fitted == pytest.approx(after, abs=1e-12)
    assert measured.plcc == pytest.approx(scipy.stats.pearsonr(fitted, opinions).statistic, abs=1e-12)
    assert measured.rmse == pytest.approx(math.sqrt(np.mean((fitted - opinions) ** 2)))


def test_the_curve_never_fits_worse_than_a_straight_line() -> None:
    generator = np.random.default_rng(4)
    for _ in range(8):
        scores, opinions = generator.normal(size=60), generator.uniform(size=60)
        measured = statistics.agreement(scores, opinions)
        assert measured.plcc >= abs(scipy.stats.pearsonr(scores, opinions).statistic) - 1e-6


def test_a_perfect_line_has_correlation_one_and_no_error() -> None:
    scores = np.arange(20.0)
    measured = statistics.agreement(scores, 3 * scores + 2)
    assert (measured.srcc, measured.krcc) == (pytest.approx(1), pytest.approx(1))
    assert measured.plcc == pytest.approx(1)
    assert measured.rmse == pytest.approx(0, abs=1e-6)


def test_kendall_and_spearman_counted_by_hand() -> None:
    scores, opinions = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    measured = statistics.agreement(scores, opinions)
    assert measured.krcc == pytest.approx((8 - 2) / 10)  # two of ten pairs are turned around
    assert measured.srcc == pytest.approx(1 - 6 * 4 / (5 * 24))  # four ranks are off by one


def test_a_fit_that_fails_falls_back_to_the_plain_correlation_and_is_marked(monkeypatch) -> None:
    monkeypatch.setattr(statistics, "_MAXIMUM_EVALUATIONS", 1)
    generator = np.random.default_rng(5)
    scores = generator.normal(size=100)
    opinions = -scores + generator.normal(size=100)
    measured = statistics.agreement(scores, opinions)
    assert measured.fit is not None
    assert not measured.fit.converged
    assert measured.plcc == pytest.approx(abs(scipy.stats.pearsonr(scores, opinions).statistic))


def test_constant_scores_have_no_correlation_and_raise_nothing() -> None:
    measured = statistics.agreement(np.ones(30), np.arange(30.0), resamples=50)
    assert measured.fit is None
    assert math.isnan(measured.srcc)


def test_the_bootstrap_is_repeatable_and_surrounds_the_figure() -> None:
    generator = np.random.default_rng(6)
    scores = generator.normal(size=150)
    opinions = scores + generator.normal(size=150)
    first = statistics.agreement(scores, opinions, resamples=300, seed=7)
    assert first == statistics.agreement(scores, opinions, resamples=300, seed=7)
    for figure in ("srcc", "krcc", "plcc", "rmse"):
        surrounding = getattr(first, f"{figure}_interval")
        assert surrounding.low < getattr(first, figure) < surrounding.high


def test_the_width_of_the_bootstrap_interval_agrees_with_fishers_formula() -> None:
    generator = np.random.default_rng(8)
    scores = generator.normal(size=400)
    opinions = 0.7 * scores + math.sqrt(1 - 0.49) * generator.normal(size=400)
    surrounding = statistics.agreement(scores, opinions, resamples=1000, seed=1).plcc_interval
    assert surrounding is not None
    half_width = 1.96 * (1 - 0.49) / math.sqrt(400)
    assert surrounding.high - surrounding.low == pytest.approx(2 * half_width, rel=0.2)


def test_resampled_spearman_equals_scipy_on_the_same_draw() -> None:
    generator = np.random.default_rng(9)
    scores, opinions = np.round(generator.normal(size=40), 1), generator.normal(size=40)
    drawn = statistics.srcc_resamples(scores, opinions, resamples=5, seed=2)
    indices = np.random.default_rng(2).integers(0, 40, size=(5, 40))
    expected = [scipy.stats.spearmanr(scores[row], opinions[row]).statistic for row in indices]
    assert drawn == pytest.approx(expected, abs=1e-12)


def test_a_curve_that_rises_and_falls_is_flagged() -> None:
    scores = np.linspace(-3, 3, 200)
    opinions = statistics.five_parameter_logistic(scores, 8.0, 3.0, 0.0, -1.5, 0.0)
    fit = statistics.fit_logistic(scores, opinions)
    assert fit.converged
    assert not fit.monotonic


def test_a_fit_that_overflows_on_the_way_warns_nobody() -> None:
    generator = np.random.default_rng(3)
    scores = generator.normal(size=40)
    opinions = 1e200 * generator.normal(size=40)
    assert statistics.fit_logistic(scores, opinions).predict(scores).shape == (40,)
