"""The fault suite's bookkeeping: each promise has a test, a line on the page and a mutation that fits."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
SUITE = CHECKOUT / "tests" / "faults"
PROMISES = sorted(path.stem.removeprefix("test_") for path in SUITE.glob("test_*.py"))
SCRIPT = runpy.run_path(str(CHECKOUT / "scripts" / "mutations.py"))
MUTATIONS = SCRIPT["load"](SUITE / "mutations", [])


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_on_the_page_of_reliability_with_its_test(promise: str) -> None:
    assert f"tests/faults/test_{promise}.py" in (CHECKOUT / "docs" / "reliability.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_names_a_mutation_that_its_test_notices(promise: str) -> None:
    assert promise in {mutation.promise for mutation in MUTATIONS}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.promise}: {mutation.within}")
def test_a_mutation_fits_the_program_and_its_test_exists(mutation: Any) -> None:
    assert mutation.mutated(CHECKOUT) != mutation.source(CHECKOUT).read_text(encoding="utf-8")
    file, _, name = mutation.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (CHECKOUT / file).read_text(encoding="utf-8")


def _mutated(tmp_path: Path, source: str, **parts: Any) -> str:
    (tmp_path / "program.py").write_text(source, encoding="utf-8")
    text: str = SCRIPT["Mutation"](promise="", test="", **parts).mutated(tmp_path)
    return text


SOURCE = """\
LIMIT = 5  # é


class Shop:
    def sell(self, goods):
        if self.open and (
            goods != self.last
        ):
            self.note("sold", to="é", at=1); self.count = 1
        self.note("sold")
"""


def test_a_mutation_is_found_by_its_syntax_whatever_the_layout_and_the_names(tmp_path: Path) -> None:
    parts = {"within": "program.Shop.sell", "expression": "_ != _.last", "replacement": "0"}
    mutated = _mutated(tmp_path, SOURCE, **parts)
    assert "            (0)\n" in mutated
    mutated = _mutated(tmp_path, SOURCE, within="program.Shop.sell", statement="self.count = _")
    assert "at=1); pass\n" in mutated
    mutated = _mutated(tmp_path, SOURCE, within="program.Shop", expression="at=_", replacement="at=2")
    assert 'to="é", at=2)' in mutated
    assert _mutated(tmp_path, SOURCE, within="program.LIMIT", expression="5", replacement="6").startswith(
        "LIMIT = (6)  # é"
    )


def test_a_mutation_whose_place_is_missing_or_not_the_only_one_is_refused(tmp_path: Path) -> None:
    for parts in (
        {"within": "program.Shop.sell", "statement": "self.note(...)"},
        {"within": "program.Shop.sell", "statement": "self.note(...)", "occurrence": 3},
        {"within": "program.Shop.buy", "statement": "self.note(...)"},
        {"within": "elsewhere.Shop", "statement": "self.note(...)"},
        {"within": "program.Shop", "expression": "self.last == _"},
    ):
        with pytest.raises(SCRIPT["DoesNotFit"]):
            _mutated(tmp_path, SOURCE, **parts)
    mutated = _mutated(tmp_path, SOURCE, within="program.Shop.sell", statement="self.note(...)", occurrence=2)
    assert mutated.endswith("        pass\n")
