"""`maclip status` lists all that waits: what, why, until when, and who ends it."""

from __future__ import annotations

import json
import os

from typer.testing import CliRunner

from maclip_daemon.cli.program import assembled
from maclip_daemon.daemon import database_notice
from maclip_daemon.daemon.lock import locked
from maclip_daemon.errors import Transient
from maclip_daemon.library.results import decisions
from maclip_daemon.library.storage.notes import put_note
from maclip_daemon.pipeline.rating.rate_jobs import RateJobs
from maclip_daemon.pipeline.waits import MODEL, POWER, Waits
from maclip_daemon.settings import JobSettings
from tests.rated_library import NOW, FakeRoots, RatedLibrary


def status(rated: RatedLibrary, *arguments: str) -> str:
    environment = {"MACLIP_DATA_DIR": os.fspath(rated.folder.parent / "data")}
    result = CliRunner().invoke(assembled(), ["status", *arguments], env=environment)
    assert result.exit_code == 0, result.output
    return result.output


def test_status_lists_the_waits_of_the_daemon_of_the_queue_and_of_persons(rated: RatedLibrary) -> None:
    waits = Waits(30, clock=lambda: 0.0, wall_clock=lambda: NOW)
    waits.begin(MODEL, "The model is gone.")
    waits.begin(POWER, "It runs on battery.", for_s=float("inf"))
    with rated.library.writing() as session:
        put_note(session, "daemon", {"waits": [wait.as_json() for wait in waits.list()]}, NOW)
    rated.queue(rated.add("a.jpg"), rated.add("b.jpg"))
    rate_jobs = RateJobs(rated.library, rated.state, JobSettings(), "test", FakeRoots())
    for job in rate_jobs.take(2):
        rate_jobs.fail(job, Transient("It could not be written."))
    rated.write("update photos set state = 'failed' where file_name = 'b.jpg'")

    listed = json.loads(status(rated, "--json"))["waits"]
    assert [(wait["what"], wait["reason"], wait["ended_by"]) for wait in listed[:1]] == [
        ("2 rate jobs", "It could not be written.", "time")
    ], "without a daemon only the queue waits"
    assert (listed[1]["what"], listed[1]["ended_by"]) == ("1 photo", "person")

    data_dir = rated.folder.parent / "data"
    with locked(data_dir):
        database_notice.put(data_dir, "The disk is full.")
        listed = json.loads(status(rated, "--json"))["waits"]
        text = status(rated)
    assert [wait["resource"] for wait in listed] == [
        "database",
        "model",
        "power",
        "retry 2 rate jobs",
        "failed 1 photo",
    ]
    assert [wait["until"] for wait in listed[1:3]] == [NOW + 30, None]
    assert "paused     all work: The disk is full. (checked every few seconds)" in text
    assert "paused     scoring: The model is gone. (checked again at " in text
    assert "waits      2 rate jobs: It could not be written. (goes on at " in text
    assert "(waits for you)" in text


def test_status_names_decisions_of_the_page_that_are_not_written_and_who_writes_them(
    rated: RatedLibrary,
) -> None:
    ids = [rated.add(name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    with rated.library.writing() as session:
        made = decisions.add(session, [decisions.NewDecision(each, 5) for each in ids], "a review", NOW)
        for each, name in zip(made[:2], ("a.jpg", "b.jpg"), strict=True):
            reason = f"{rated.folder / name}: The disk is full."
            decisions.settle(session, each.id, "waiting", reason, NOW)
    text = status(rated)
    assert (
        "waits      2 decisions of the review page: The disk is full. `maclip review` writes them as soon as "
        "it can while the page is open. (waits for you)"
    ) in text
    assert "waits      1 decision of the review page: " in text
    listed = json.loads(status(rated, "--json"))["waits"]
    assert [each["resource"] for each in listed] == ["decisions 2 decisions", "decisions 1 decision"]
    with rated.library.writing() as session:
        for each in made:
            decisions.settle(session, each.id, "written", None, NOW)
    assert "review page" not in status(rated)
