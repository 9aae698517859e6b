"""The tally finds the photo over which workers die, however early they die."""

from __future__ import annotations

from maclip_daemon.archive.stages.run_tally import ChunkStart, RunTally


def test_a_photo_over_which_two_workers_died_is_deadly() -> None:
    tally = RunTally()
    assert tally.begin("plan:0") == ChunkStart([], is_repeated=False)
    tally.working("plan:0", 3)
    assert tally.begin("plan:0") == ChunkStart([], is_repeated=True)  # once may be the machine's fault
    tally.working("plan:0", 3)
    assert tally.begin("plan:0") == ChunkStart([3], is_repeated=True)
    assert tally.counts().restarts == 2


def test_a_worker_that_died_before_it_told_its_photo_makes_the_next_one_wait() -> None:
    tally = RunTally()
    tally.begin("plan:0")
    assert tally.begin("plan:0") == ChunkStart([], is_repeated=True)


def test_a_chunk_that_is_done_again_for_a_lost_machine_is_a_new_one() -> None:
    tally = RunTally()
    tally.begin("plan:0")
    tally.end("plan:0")
    assert tally.begin("plan:0") == ChunkStart([], is_repeated=False)
    assert tally.counts().restarts == 0
