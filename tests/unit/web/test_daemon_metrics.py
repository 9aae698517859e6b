"""What Prometheus gets, read by the official client's own parser, and whether the daemon is healthy."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.run_state import FailedPhoto
from maclip_daemon.pipeline.waits import PAUSE, SPOOL
from maclip_daemon.processes import child_deaths
from maclip_daemon.web.status import daemon_metrics
from maclip_daemon.web.status.status_report import status_report
from maclip_daemon.web.status.watched_daemon import SILENT_AFTER_S, WatchedDaemon
from tests.rated_library import NOW, RatedLibrary

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Desk:
    """A daemon with a run in progress; the test moves its clock."""

    def __init__(self, library: Library, folder: Path) -> None:
        self.rated = RatedLibrary(folder, library)
        self.now = 100.0
        self.daemon = WatchedDaemon(lambda: self.now)
        child = SimpleNamespace(pid=None)
        self.run = SimpleNamespace(
            library=library,
            state=self.rated.state,
            identity=SimpleNamespace(model="test", metric="maclip", protocol="native"),
            scoring=SimpleNamespace(decoders=[child]),
            client=child,
            writer=child,
        )

    def look(self) -> None:
        self.daemon.look(cast("Pipeline", self.run))

    def text(self) -> str:
        return generate_latest(daemon_metrics.registry(self.daemon)).decode()

    def samples(self) -> Samples:
        families = list(text_string_to_metric_families(self.text()))
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def value(self, name: str, **labels: str) -> float:
        return self.samples()[name, frozenset(labels.items())]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with contextlib.closing(Library.open(tmp_path / "library.db")) as library:
        yield Desk(library, tmp_path / "photos")


def test_photos_and_the_queue_are_counted(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    photos = [desk.rated.add(f"{number}.jpg") for number in range(3)]
    with desk.rated.library.writing() as session:
        jobs.enqueue(session, photos[:2], "score", NOW - 50)
    desk.run.state.count(scored=3, rated=2)
    desk.run.state.tally.failed.append(FailedPhoto(Path("a.jpg"), "It is broken."))
    desk.look()
    assert desk.value("maclip_photos", state="scored") == 3
    assert desk.value("maclip_photos", state="failed") == 0
    assert desk.value("maclip_jobs", kind="score", state="ready") == 2
    assert desk.value("maclip_oldest_job_seconds", kind="score") == pytest.approx(50, abs=0.01)
    assert desk.value("maclip_oldest_job_seconds", kind="rate") == 0
    assert desk.value("maclip_photos_processed_total", outcome="scored") == 3
    assert desk.value("maclip_photos_processed_total", outcome="failed") == 1
    assert desk.value("maclip_scoring_info", model="test", metric="maclip", protocol="native") == 1
    assert desk.value("maclip_memory_bytes", process="daemon") > 1e6
    assert desk.value("maclip_healthy") == 1


def test_the_seconds_of_a_stage_are_a_histogram(desk: Desk) -> None:
    times = desk.run.state.stage_times
    times.add("decode", 0.03)
    times.add("decode", 70.0)
    times.add("score", 1.0, photos=16)
    times.add("rate", 1.0, photos=0)
    desk.look()
    assert desk.value("maclip_stage_seconds_bucket", stage="decode", le="0.025") == 0
    assert desk.value("maclip_stage_seconds_bucket", stage="decode", le="0.05") == 1
    assert desk.value("maclip_stage_seconds_bucket", stage="decode", le="+Inf") == 2
    assert desk.value("maclip_stage_seconds_sum", stage="decode") == pytest.approx(70.03)
    assert desk.value("maclip_stage_seconds_bucket", stage="score", le="0.1") == 16
    assert desk.value("maclip_stage_seconds_count", stage="rate") == 0


def test_what_waits_and_what_died_is_there_without_any_name(desk: Desk) -> None:
    desk.run.state.waits.begin(SPOOL, "The disk of /home/anna/secret is full.")
    before = child_deaths.counts().get("decoder_process", 0)
    child_deaths.record("maclip_daemon.photos.decoder_process")
    desk.look()
    assert desk.value("maclip_paused", reason="spool") == 1
    assert desk.value("maclip_child_restarts_total", child="decoder_process") == before + 1
    assert "anna" not in desk.text()


def test_a_daemon_without_a_run_has_metrics_too(desk: Desk) -> None:
    assert desk.value("maclip_healthy") == 0
    assert not any(name == "maclip_photos" for name, _ in desk.samples())


def test_the_library_may_be_unreadable(desk: Desk) -> None:
    desk.look()
    desk.rated.library.close()
    (desk.rated.library.path).write_bytes(b"no database" * 1000)
    assert desk.value("maclip_scoring_info", model="test", metric="maclip", protocol="native") == 1
    assert not any(name == "maclip_photos" for name, _ in desk.samples())


def test_promtool_finds_nothing_to_improve(desk: Desk) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    desk.look()
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=desk.text(), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_dashboard_asks_for_metrics_that_exist(desk: Desk) -> None:
    dashboard = Path(__file__).parents[3] / "service" / "grafana-dashboard.json"
    asked = set(re.findall(r"\b(?:maclip|process)_[a-z_]+", dashboard.read_text("utf-8")))
    desk.run.state.waits.begin(SPOOL, "full")
    child_deaths.record("maclip_daemon.photos.decoder_process")
    desk.look()
    known = {name for name, _ in desk.samples()}
    assert len(asked) >= 10
    # A series of stalled parts is there only while one is.
    assert asked - known <= {"maclip_stalled", "maclip_folders"}


def test_health_follows_the_daemon(desk: Desk) -> None:
    daemon = desk.daemon
    assert (daemon.health().state, daemon.health().is_good) == ("starting", False)
    desk.look()
    assert (daemon.health().state, daemon.health().is_good) == ("ok", True)
    desk.run.state.waits.begin(PAUSE, "You paused it.", for_s=float("inf"))
    assert (daemon.health().state, daemon.health().waits) == ("paused", ["pause"])
    assert daemon.health().is_good
    desk.now += SILENT_AFTER_S + 1
    assert daemon.health().state == "stalled"
    desk.look()
    desk.run.state.heartbeat.beat("scorer", -1.0)
    assert (daemon.health().state, daemon.health().is_good) == ("stalled", False)
    daemon.block("The disk is full.")
    assert (daemon.health().state, daemon.health().is_good) == ("blocked", False)
    desk.look()
    desk.run.state.heartbeat.end("scorer")
    assert daemon.health().state == "paused"


def test_the_page_says_it_in_words(desk: Desk) -> None:
    assert status_report(desk.daemon).headline == "Starting"
    desk.rated.add("a.jpg")
    desk.look()
    report: dict[str, Any] = status_report(desk.daemon).as_json()
    assert report["headline"] == "Waiting for photos"
    assert report["figures"]["Photos scored"] == "1"
    assert report["figures"]["Model"] == "test · maclip · native"
    desk.daemon.block("The disk is full.")
    assert status_report(desk.daemon).waits == ["The disk is full."]
