"""The fuzzer's seeds, cut off and damaged: in the tests of every day, without its guidance."""

from __future__ import annotations

import random

import pytest

from tests.faults import fuzz_targets
from tests.faults.conftest import Figures
from tests.faults.fuzz_targets import CORPUS, TARGETS

LARGEST = 1024  # bytes of a file in the corpus


@pytest.mark.parametrize("target", TARGETS)
def test_no_reader_fails_on_a_damaged_seed(target: str, full: bool, figures: Figures) -> None:
    chance = random.Random(20261128)
    seeds = sorted((CORPUS / target).iterdir())
    assert seeds
    tried = 0
    for seed in seeds:
        data = seed.read_bytes()
        assert len(data) <= LARGEST, seed.name
        fuzz_targets.TARGETS[target](data)
        for _ in range(2000 if full else 40):
            damaged = bytearray(data[: chance.randint(0, len(data))] if chance.random() < 0.3 else data)
            for _ in range(chance.randint(1, 4)):
                if damaged:
                    damaged[chance.randrange(len(damaged))] = chance.choice(
                        (0, 1, 0x7F, 0xFF, chance.randrange(256))
                    )
            fuzz_targets.TARGETS[target](bytes(damaged))
            tried += 1
    figures(rounds=len(seeds), files=tried, faults=tried)


def test_every_folder_of_the_corpus_has_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()
