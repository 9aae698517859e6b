"""The fault suite's bookkeeping: each promise has a test, a line on the page, a mutation that fits."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
SUITE = CHECKOUT / "tests" / "faults"
PROMISES = sorted(path.stem.removeprefix("test_") for path in SUITE.glob("test_*.py"))
MUTATIONS = [
    (file.stem, mutation)
    for file in sorted((SUITE / "mutations").glob("*.toml"))
    for mutation in tomllib.loads(file.read_text(encoding="utf-8"))["mutation"]
]


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_is_on_the_page_of_reliability_with_its_test(promise: str) -> None:
    assert f"tests/faults/test_{promise}.py" in (CHECKOUT / "docs" / "reliability.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_names_a_mutation_that_its_test_notices(promise: str) -> None:
    assert promise in {named for named, _ in MUTATIONS}


@pytest.mark.parametrize(("promise", "mutation"), MUTATIONS)
def test_a_mutation_still_fits_the_source_and_its_test_still_exists(
    promise: str, mutation: dict[str, str]
) -> None:
    assert (CHECKOUT / mutation["file"]).read_text(encoding="utf-8").count(mutation["old"]) == 1
    file, _, name = mutation["test"].partition("::")
    assert f"def {name.partition('[')[0]}(" in (CHECKOUT / file).read_text(encoding="utf-8")
