"""The batch size is found on the work at hand, settled once and remembered; the clock is given here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maclip_daemon.scoring.batch_size import (
    CANDIDATES,
    FILE_NAME,
    TRIALS,
    BatchSearch,
    BatchSize,
    key_of,
    search_for,
)

CPU = torch.device("cpu")


def work(search: BatchSize, seconds_a_view: dict[int, float], batches: int = 1000) -> list[int]:
    """Full batches until the search settles or the work ends; which sizes were asked for."""
    asked = []
    for _ in range(batches):
        views = search.views
        asked.append(views)
        search.record(views, views * seconds_a_view[views])
    return asked


def search(folder: Path, key: str = "a model") -> BatchSearch:
    return BatchSearch(folder / FILE_NAME, key)


FASTEST_AT_20 = {5: 0.5, 10: 0.4, 20: 0.3, 40: 0.35, 80: 0.6}


def test_every_size_is_tried_and_the_fastest_stays(tmp_path: Path) -> None:
    found = search(tmp_path)
    asked = work(found, FASTEST_AT_20, len(CANDIDATES) * TRIALS)
    assert {size: asked.count(size) for size in CANDIDATES} == dict.fromkeys(CANDIDATES, TRIALS)
    assert set(work(found, FASTEST_AT_20, 10)) == {20}


def test_what_was_found_is_remembered_for_this_model_and_machine_only(tmp_path: Path) -> None:
    work(search(tmp_path), FASTEST_AT_20)
    assert search(tmp_path).views == 20
    assert set(work(search(tmp_path), FASTEST_AT_20, 10)) == {20}
    assert search(tmp_path, "another model").views == CANDIDATES[0]
    work(search(tmp_path, "another model"), FASTEST_AT_20 | {40: 0.1})
    assert json.loads((tmp_path / FILE_NAME).read_text("utf-8")) == {"a model": 20, "another model": 40}


def test_one_disturbed_trial_does_not_decide(tmp_path: Path) -> None:
    found = search(tmp_path)
    assert found.views == 5
    for trial in range(TRIALS):
        for size in CANDIDATES:
            disturbed = 50 if size == 20 and trial == 0 else 1
            found.record(size, size * FASTEST_AT_20[size] * disturbed)
    assert found.views == 20


def test_of_equals_the_smallest_is_taken(tmp_path: Path) -> None:
    found = search(tmp_path)
    work(found, {5: 0.5, 10: 0.301, 20: 0.3, 40: 0.299, 80: 0.3})
    assert found.views == 10


def test_the_last_batch_of_some_work_does_not_count_and_the_search_goes_on(tmp_path: Path) -> None:
    found = search(tmp_path)
    for _ in range(100):
        found.record(3, 0.001)
    assert found.views == 5
    assert not (tmp_path / FILE_NAME).exists()


def test_trials_are_kept_when_the_process_ends_in_between(tmp_path: Path) -> None:
    for _ in range(len(CANDIDATES) * TRIALS):  # a new process for every batch
        work(search(tmp_path), FASTEST_AT_20, 1)
    assert json.loads((tmp_path / FILE_NAME).read_text("utf-8")) == {"a model": 20}


def test_memory_that_ran_out_ends_the_search_and_is_not_remembered(tmp_path: Path) -> None:
    found = search(tmp_path)
    for size in (5, 10, 20, 40):
        found.record(size, size * FASTEST_AT_20[size])
    assert found.views == 80
    found.shrink(80)
    assert found.views == 40
    work(found, FASTEST_AT_20, 100)
    assert found.views == 40
    found.shrink(80)  # another one that was computed at the same time
    assert found.views == 40
    found.shrink(40)
    assert found.views == 20
    assert search(tmp_path).views == 80  # the next process goes on with the search


@pytest.mark.parametrize(
    "text", ["", "{", "[20]", '{"a model": "many"}', '{"a model": 7}', '{"a model": {"5": 3}}']
)
def test_a_damaged_file_is_as_good_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(text, "utf-8")
    found = search(tmp_path)
    assert found.views == CANDIDATES[0]
    work(found, FASTEST_AT_20)
    assert search(tmp_path).views == 20


def test_a_folder_that_cannot_be_written_costs_the_memory_only(tmp_path: Path) -> None:
    found = search(tmp_path / "absent")
    work(found, FASTEST_AT_20)
    assert found.views == 20
    assert not (tmp_path / "absent").exists()


def test_sizes_that_no_request_can_fill_are_not_tried(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        for threads, most in ((1, 20), (2, 10), (4, 5), (8, 5)):
            torch.set_num_threads(threads)
            found = search_for(tmp_path / "absent", "a model", CPU, "fp32", batch_photos=4)
            assert max(work(found, FASTEST_AT_20, 100)) == most  # each thread has a batch of its own
        assert search_for(tmp_path, "a model", CPU, "fp32", batch_photos=1).views == 5
    finally:
        torch.set_num_threads(before)


def test_the_answer_belongs_to_model_device_precision_and_threads() -> None:
    before = torch.get_num_threads()
    keys = {key_of("one", CPU, "fp32"), key_of("two", CPU, "fp32"), key_of("one", CPU, "bf16")}
    try:
        torch.set_num_threads(before + 1)
        keys.add(key_of("one", CPU, "fp32"))
    finally:
        torch.set_num_threads(before)
    assert len(keys) == 4
