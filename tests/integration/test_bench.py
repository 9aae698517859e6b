"""`scripts/bench/run speed` measures, compares with the reference, and prints one JSON object."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
QUICK_S = 900  # a few seconds of work and seven starts of PyTorch, on a loaded machine


@pytest.fixture(scope="module")
def printed() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "speed", "--quick", "--json"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(SCRIPTS), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        timeout=QUICK_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)  # one object and nothing else
    return answer


@pytest.mark.long_form
def test_the_object_names_the_date_the_machine_and_the_versions(printed: dict[str, Any]) -> None:
    assert {"cores", "architecture", "isa", "memory_gib", "gpu"} <= printed["machine"].keys()
    assert {"python", "torch", "pillow", "maclip-daemon"} <= printed["versions"].keys()
    assert len(printed["date"]) == len("2000-01-01")


@pytest.mark.long_form
def test_our_speed_is_compared_with_the_reference_and_with_the_machine(printed: dict[str, Any]) -> None:
    assert printed["whole_way"]["ratio_to_reference"] > 0
    assert printed["encoder"]["ratio_to_reference"] > 0
    assert printed["encoder"]["share_of_matrix_rate"] == pytest.approx(
        printed["encoder"]["gflop_per_s"] / _limit(printed, printed["encoder"]["precision"]), rel=0.01
    )
    assert all(one["ratio_to_reference"] > 0 for one in printed["decoding"].values())


@pytest.mark.long_form
def test_our_scores_and_those_of_the_reference_agree(printed: dict[str, Any]) -> None:
    # Equal photos and weights, so the comparison is of equal work. Rounding and the reduction while decoding
    # move a score by a few thousandths; another function would move it by far more.
    assert printed["whole_way"]["largest_score_difference"] < 0.03


def _limit(printed: dict[str, Any], precision: str) -> float:
    named = f"products of matrices, {precision}: GFLOP/s"
    return float(printed["limits"][named]["median"])


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("bench.figures")


def test_a_spread_is_its_median_and_quartiles(figures: ModuleType) -> None:
    spread = figures.Spread((1.0, 2.0, 3.0, 4.0, 100.0))
    assert (spread.median, spread.quartiles) == (3.0, (2.0, 4.0))
    assert figures.Spread((7.0,)).quartiles == (7.0, 7.0)
    assert spread.text() == "3.00 (2.00–4.00)"


def test_ratios_are_taken_repeat_by_repeat(figures: ModuleType) -> None:
    # Both were disturbed in the second repeat: their ratio was not.
    ratio = figures.ratios(figures.Spread((10.0, 5.0)), figures.Spread((2.0, 1.0)))
    assert ratio.values == (5.0, 5.0)


def test_the_page_is_updated_with_new_figures_and_keeps_its_prose(
    figures: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Speed\nbefore\n{figures.MARKS[0]}\nold figures\n{figures.MARKS[1]}\nafter\n", "utf-8")
    monkeypatch.setattr(figures, "PAGE", page)
    machine = {"cores": 2, "architecture": "x", "isa": ["avx2"], "memory_gib": 24, "gpu": None}
    about = {"date": "2000-01-01", "machine": machine, "versions": {"torch": "2"}}
    row = figures.Row("the whole way", "photos/s", figures.Spread((9.0,)))
    for _ in range(2):
        figures.write([row], {"copies: GB/s": figures.Spread((20.0,))}, about)
    text = page.read_text("utf-8")
    assert text.startswith("# Speed\nbefore\n")
    assert text.endswith("\nafter\n")
    assert "old figures" not in text
    assert text.count("| the whole way | photos/s | 9.00 (9.00–9.00) |") == 1
    assert "*not yet measured*" in text


def test_the_page_of_the_project_has_the_markers(figures: ModuleType) -> None:
    text = figures.PAGE.read_text("utf-8")
    assert text.index(figures.MARKS[0]) < text.index(figures.MARKS[1])
