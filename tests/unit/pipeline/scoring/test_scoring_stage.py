"""The scoring stage: pixels become stored scores, only the guilty photo fails, and no pixels stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from simulated_scoring import SimulatedScoring, decoded

from maclip_daemon.errors import (
    ChildDied,
    EnvironmentUnfit,
    MaclipError,
    ModelUnavailable,
    NoSpace,
    Poison,
    Transient,
)
from maclip_daemon.pipeline.waits import DECODER, POWER, SPOOL, Resource


def rewrite(path: Path) -> None:
    """Change a photo as another program would."""
    path.write_bytes(path.read_bytes() + b"+")


def test_decoded_photos_are_scored_together_and_stored(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg", "b.jpg")
    scoring.run()
    assert scoring.client.batches == [["a.jpg", "b.jpg"]]
    assert scoring.scores() == [("a.jpg", 0.75), ("b.jpg", 0.75)]
    assert scoring.rated.jobs() == []
    assert scoring.rated.rows("select distinct width, height, sharpness from photos, scores") == [
        (40, 30, 0.25)
    ]
    assert scoring.rated.state.tally.scored == 2
    assert scoring.spooled == []
    assert (scoring.decoder.closed, scoring.client.closed) == (1, 1)


def test_equal_pixels_are_scored_once(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg")
    scoring.run()
    scoring.add("copy.jpg")
    copy = scoring.rated.folder / "copy.jpg"
    stat = copy.stat()
    copy.write_bytes(b"a.jpg")
    scoring.rated.write(f"update photos set size = 5 where file_name = '{copy.name}'")
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    scoring.run()
    assert scoring.scores() == [("a.jpg", 0.75), ("copy.jpg", 0.75)]
    assert scoring.client.batches == [["a.jpg"]]
    assert (scoring.rated.state.tally.scored, scoring.rated.state.tally.copied) == (2, 1)
    assert scoring.spooled == []


@pytest.mark.parametrize(
    ("error", "resource"),
    [(NoSpace("The disk is full."), SPOOL), (EnvironmentUnfit("No decoder."), DECODER)],
)
def test_a_full_spool_and_a_missing_decoder_begin_a_wait_and_count_no_attempt(
    scoring: SimulatedScoring, error: MaclipError, resource: Resource
) -> None:
    scoring.add("a.jpg", "b.jpg")
    scoring.decoder.problems["a.jpg"] = error
    scoring.run()
    assert scoring.decoder.paths == ["a.jpg"], "other photos wait too"
    assert scoring.rated.state.waits.reasons() == {str(resource): str(error)}
    assert scoring.rated.jobs() == [("a.jpg", "score", "leased", 0), ("b.jpg", "score", "leased", 0)]
    scoring.decoder.problems.clear()
    scoring.rated.now += 31
    scoring.run()
    assert scoring.scores() == [("a.jpg", 0.75), ("b.jpg", 0.75)]
    assert scoring.rated.state.waits.reasons() == {}


def test_a_missing_model_begins_a_wait_and_counts_no_attempt(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg", "b.jpg")
    scoring.client.problems["a.jpg"] = ModelUnavailable("The model is gone.")
    scoring.run()
    assert scoring.rated.state.waits.reasons() == {"model": "The model is gone."}
    assert scoring.rated.jobs() == [("a.jpg", "score", "leased", 0), ("b.jpg", "score", "leased", 0)]
    assert scoring.spooled == []
    scoring.run()
    assert len(scoring.decoder.paths) == 2, "nothing is decoded during the wait"
    scoring.client.problems.clear()
    scoring.rated.now += 31
    scoring.run()
    assert scoring.client.batches[1:] == [["a.jpg", "b.jpg"]], "in the order of before"
    assert scoring.scores() == [("a.jpg", 0.75), ("b.jpg", 0.75)]
    assert scoring.rated.state.waits.reasons() == {}


def test_no_photo_is_decoded_on_battery(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg")
    scoring.rated.state.waits.begin(POWER, "It runs on battery.", for_s=float("inf"))
    scoring.run()
    assert scoring.decoder.paths == []
    assert scoring.rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_a_lost_batch_is_scored_one_by_one_and_only_the_guilty_photo_fails(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg", "bad.jpg", "c.jpg")
    scoring.client.problems["bad.jpg"] = ChildDied("The scorer crashed.")
    scoring.run()
    assert scoring.client.batches == [["a.jpg", "bad.jpg", "c.jpg"], ["a.jpg"], ["bad.jpg"], ["c.jpg"]]
    assert scoring.scores() == [("a.jpg", 0.75), ("c.jpg", 0.75)]
    assert scoring.rated.jobs() == [("bad.jpg", "score", "ready", 1)]
    assert scoring.spooled == []


def test_a_model_that_goes_while_photos_are_scored_one_by_one_blames_none_of_them(
    scoring: SimulatedScoring,
) -> None:
    scoring.add("a.jpg", "b.jpg", "c.jpg")
    scoring.client.problems = {"b.jpg": ModelUnavailable("The model is gone."), "a.jpg": ChildDied("Lost.")}
    scoring.run()
    assert scoring.client.batches == [["a.jpg", "b.jpg", "c.jpg"], ["a.jpg"], ["b.jpg"]]
    assert scoring.rated.jobs() == [
        ("a.jpg", "score", "ready", 1),
        ("b.jpg", "score", "leased", 0),
        ("c.jpg", "score", "leased", 0),
    ]
    assert scoring.spooled == []


def test_a_photo_that_the_scorer_refuses_fails_alone(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg", "bad.jpg")
    scoring.client.answers["bad.jpg"] = Poison("bad.jpg has no pixels.")
    scoring.run()
    assert scoring.scores() == [("a.jpg", 0.75)]
    assert scoring.rated.jobs() == [("bad.jpg", "score", "dead", 1)]
    assert scoring.spooled == []


def test_a_damaged_photo_fails_at_once_and_holds_up_no_other(scoring: SimulatedScoring) -> None:
    scoring.add("bad.jpg", "good.jpg")
    scoring.decoder.problems["bad.jpg"] = Poison("bad.jpg is no photo.")
    scoring.run()
    assert scoring.scores() == [("good.jpg", 0.75)]
    assert scoring.rated.rows("select file_name, state from photos order by file_name") == [
        ("bad.jpg", "failed"),
        ("good.jpg", "scored"),
    ]
    assert [(failed.path.name, failed.reason) for failed in scoring.rated.state.tally.failed] == [
        ("bad.jpg", "bad.jpg is no photo.")
    ]


def test_a_file_that_changes_while_it_is_decoded_is_retried_without_end(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg")
    scoring.decoder.during = rewrite
    for attempt in range(1, 6):
        scoring.run()
        assert scoring.rated.jobs() == [("a.jpg", "score", "ready", attempt)]
        assert scoring.spooled == []
        scoring.rated.now += 4000
    assert scoring.client.batches == []
    assert scoring.rated.state.tally.failed == []


def test_a_stop_discards_the_pixels_that_wait_for_the_scorer(
    scoring: SimulatedScoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.add("a.jpg")
    monkeypatch.setattr(scoring.rated.state, "wait_for_work", lambda timeout_s: scoring.rated.state.stop())
    scoring.run()
    assert scoring.decoder.paths == ["a.jpg"]
    assert scoring.spooled == []
    assert scoring.rated.jobs() == [("a.jpg", "score", "leased", 0)]


def test_a_small_photo_does_not_end_the_wait_for_room_in_the_spool(
    scoring: SimulatedScoring, monkeypatch: pytest.MonkeyPatch
) -> None:
    scoring.add("a.jpg")
    waits = scoring.rated.state.waits

    def decode(path: Path, known_hash: str | None = None) -> object:
        waits.begin(SPOOL, "The disk is full.")  # by another decoder, meanwhile
        return decoded("a")

    monkeypatch.setattr(scoring.decoder, "decode", decode)
    scoring.run()
    assert waits.is_waiting(SPOOL)
    assert scoring.scores() == [("a.jpg", 0.75)]


def test_an_unreadable_photo_is_tried_again(scoring: SimulatedScoring) -> None:
    scoring.add("a.jpg")
    scoring.decoder.problems["a.jpg"] = Transient("It cannot be read.")
    scoring.run()
    assert scoring.rated.jobs() == [("a.jpg", "score", "ready", 1)]
    scoring.decoder.problems.clear()
    scoring.rated.now += 4000
    scoring.run()
    assert scoring.scores() == [("a.jpg", 0.75)]
