"""One run of the pipeline: whole after its constructor, done only when nothing waits, its leases its own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from maclip_daemon.errors import DatabaseUnfit, EnvironmentUnfit, ModelUnavailable, NoSpace
from maclip_daemon.iqa.photo_score import ScoringConfig
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.pipeline import lease_upkeep, run
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.waits import MODEL, Resource
from maclip_daemon.settings import Settings
from tests.rated_library import RatedLibrary


class FakeScorerClient:
    """A client of an installed model whose process never runs."""

    pid = None

    def __init__(self, *_arguments: object) -> None:
        pass

    def identity(self) -> ScoringConfig:
        return ScoringConfig("maclip", "test", "native")


@dataclass
class FakeThread:
    """A thread that never works; it ends when the run stops."""

    name: str
    joined: int = 0

    def join(self, timeout_s: float) -> None:
        self.joined += 1

    def is_alive(self) -> bool:
        return False


@dataclass
class SimulatedRun:
    """A pipeline without threads or processes; `sleeps` has what a pass does while it waits."""

    pipeline: Pipeline
    rated: RatedLibrary
    threads: list[FakeThread]
    monotonic: float = 1000.0
    sleeps: list[Callable[[], object]] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.monotonic += seconds
        self.rated.now += seconds
        self.sleeps.pop(0)()

    def pass_time(self, seconds: float) -> None:
        self.monotonic += seconds
        self.rated.now += seconds

    def settle(self) -> None:
        """Let discovery and the first checks be over."""
        self.pipeline.discovery = SimpleNamespace(is_idle=True, roots=[])  # type: ignore[assignment]
        self.pipeline.rating.has_checked_files = True
        self.pipeline.calibration.renew_if_due()

    def lease(self, kind: leases.Kind = "score") -> None:
        """Lease all due jobs as this run does."""
        with self.rated.library.writing() as session:
            leases.lease(session, kind, self.pipeline._worker, self.rated.now, 60, 10)

    def leased_until(self) -> list[float]:
        with self.rated.library.reading() as session:
            held = "select strftime('%s', lease_until) from jobs where state = 'leased'"
            return [float(until) for (until,) in session.connection().exec_driver_sql(held)]


@pytest.fixture
def simulated(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> SimulatedRun:
    """A pipeline that is not started, with the clock of `rated`."""
    threads: list[FakeThread] = []

    def in_thread(_state: object, name: str, _work: object) -> FakeThread:
        threads.append(FakeThread(name))
        return threads[-1]

    made: list[SimulatedRun] = []
    now = SimpleNamespace(
        monotonic=lambda: made[0].monotonic if made else 1000.0, sleep=lambda s: made[0].sleep(s)
    )
    monkeypatch.setattr(run, "time", now)
    monkeypatch.setattr(lease_upkeep, "time", now)
    monkeypatch.setattr(lease_upkeep.boot_clock, "since_boot_s", now.monotonic)
    monkeypatch.setattr(run, "in_thread", in_thread)
    monkeypatch.setattr(run, "ScorerClient", FakeScorerClient)
    settings = Settings(
        data_dir=rated.folder.parent / "data",
        jobs={"lease_s": 60},  # type: ignore[arg-type]
        decoding={"workers": 2},  # type: ignore[arg-type]
        background={"pause_on_battery": False},  # type: ignore[arg-type]
    )
    pipeline = Pipeline(settings, rated.library, [rated.folder], clock=lambda: rated.now)
    made.append(SimulatedRun(pipeline, rated, threads))
    return made[0]


def queue(rated: RatedLibrary, *names: str) -> None:
    ids = [rated.add(name, score=None) for name in names]
    with rated.library.writing() as session:
        jobs.enqueue(session, ids, "score", rated.now)


def test_a_pipeline_is_whole_when_it_is_made(simulated: SimulatedRun) -> None:
    pipeline = simulated.pipeline
    assert len(pipeline.scoring.decoders) == 2
    assert [root.description()["path"] for root in pipeline.discovery.roots] == [str(simulated.rated.folder)]
    assert not pipeline.is_done(), "nothing was looked for yet"
    assert pipeline.waiting() == {"score": 0, "rate": 0}
    assert pipeline.children() == []
    assert pipeline.description()["model"] == "test"
    pipeline.run_maintenance()
    pipeline.raise_if_fatal()
    pipeline.stop()
    assert simulated.threads == [], "it starts none before `start`"


def test_a_start_recovers_the_leases_of_a_killed_run_and_starts_a_thread_for_each_part(
    simulated: SimulatedRun,
) -> None:
    queue(simulated.rated, "a.jpg")
    simulated.lease()
    simulated.pipeline.start()
    assert simulated.rated.jobs() == [("a.jpg", "score", "ready", 0)]
    assert [thread.name for thread in simulated.threads] == [
        "folders",
        "scorer",
        "rating",
        "decoder 1",
        "decoder 2",
    ]


def test_a_pass_ends_only_when_no_job_waits_and_calibration_is_settled(simulated: SimulatedRun) -> None:
    pipeline, rated = simulated.pipeline, simulated.rated
    simulated.settle()
    queue(rated, "a.jpg")
    simulated.sleeps = [
        simulated.lease,  # it is being scored
        lambda: rated.write("delete from jobs") or pipeline.state.count(scored=1),  # type: ignore[func-returns-value]
        pipeline.calibration.renew_if_due,
    ]
    waiting: list[int] = []
    pipeline.run_to_the_end(lambda running: waiting.append(running.waiting()["score"]))
    assert simulated.sleeps == []
    assert waiting == [1, 1, 0, 0, 0]


def test_a_pass_waits_for_ratings_unless_they_are_off(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated.settle()
    simulated.rated.queue(simulated.rated.add("a.jpg"))
    assert not simulated.pipeline.is_done()
    off = simulated.pipeline.settings.rating.model_copy(update={"mode": "off"})
    settings = simulated.pipeline.settings.model_copy(update={"rating": off})
    monkeypatch.setattr(simulated.pipeline, "settings", settings)
    assert simulated.pipeline.is_done()


def test_a_pass_leaves_ratings_of_a_full_disk_to_the_next_run(simulated: SimulatedRun) -> None:
    simulated.settle()
    simulated.rated.queue(simulated.rated.add("a.jpg", device=77))
    simulated.pipeline.state.waits.begin(Resource("full disk", 77), "The disk is full.")
    assert simulated.pipeline.is_done()
    with pytest.raises(EnvironmentUnfit, match="disk is full"):
        simulated.pipeline.run_to_the_end(lambda running: None)


def test_a_pass_ends_with_the_reason_when_something_is_missing(simulated: SimulatedRun) -> None:
    simulated.settle()
    queue(simulated.rated, "a.jpg")
    begin = simulated.pipeline.state.waits.begin
    simulated.sleeps = [lambda: begin(MODEL, "The model is gone.")]
    with pytest.raises(EnvironmentUnfit, match="model is gone"):
        simulated.pipeline.run_to_the_end(lambda running: None)
    assert simulated.sleeps == []


def test_maintenance_renews_the_leases_three_times_in_their_length(simulated: SimulatedRun) -> None:
    queue(simulated.rated, "a.jpg")
    simulated.lease()
    simulated.pipeline.run_maintenance()
    first = simulated.leased_until()
    simulated.pass_time(19)
    simulated.pipeline.run_maintenance()
    assert simulated.leased_until() == first, "an idle daemon writes rarely"
    simulated.pass_time(2)
    simulated.pipeline.run_maintenance()
    assert simulated.leased_until() == [first[0] + 21]


def test_maintenance_reclaims_the_leases_of_a_lost_worker(simulated: SimulatedRun) -> None:
    queue(simulated.rated, "a.jpg")
    with simulated.rated.library.writing() as session:
        leases.lease(session, "score", "lost", simulated.rated.now, 60, 10)
    simulated.pipeline.run_maintenance()
    assert simulated.rated.jobs() == [("a.jpg", "score", "leased", 0)]
    simulated.pass_time(61)
    simulated.pipeline.run_maintenance()
    assert simulated.rated.jobs() == [("a.jpg", "score", "ready", 0)]


@pytest.mark.parametrize("by_s", [-7200.0, 7200.0])
def test_maintenance_renews_leases_at_once_and_wakes_all_when_the_clock_was_set(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch, by_s: float
) -> None:
    woken: list[bool] = []
    monkeypatch.setattr(simulated.pipeline.state, "wake", lambda: woken.append(True))
    queue(simulated.rated, "a.jpg")
    simulated.lease()
    simulated.pipeline.run_maintenance()
    (before,) = simulated.leased_until()
    assert woken == []
    simulated.rated.now += by_s
    simulated.pipeline.run_maintenance()
    assert simulated.leased_until() == [before + by_s]
    assert woken == [True]
    simulated.pass_time(lease_upkeep.AFTER_JUMP_S)
    simulated.pipeline.run_maintenance()
    assert woken == [True], "it was set once"


def test_what_waited_for_the_library_while_the_clock_was_set_back_is_due_soon(
    simulated: SimulatedRun,
) -> None:
    before = simulated.rated.now
    simulated.pipeline.run_maintenance()
    simulated.rated.now -= 86_400
    simulated.pipeline.run_maintenance()
    (photo_id,) = [simulated.rated.add("a.jpg", score=None)]
    with simulated.rated.library.writing() as session:
        jobs.enqueue(session, [photo_id], "score", before)  # it read the clock before the jump
    simulated.pass_time(lease_upkeep.AGAIN_S)
    simulated.pipeline.run_maintenance()
    with simulated.rated.library.reading() as session:
        due = jobs.next_due(session, "score")
    assert due is not None
    assert due <= simulated.rated.now


@pytest.mark.parametrize(("by_s", "count"), [(8 * 365 * 86_400.0, 1), (-7200.0, 0), (30.0, 0)])
def test_files_are_checked_again_after_a_clock_that_was_far_behind(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch, by_s: float, count: int
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(simulated.pipeline._sidecar_monitor, "request_full_check", lambda: asked.append(True))
    simulated.pipeline.run_maintenance()
    simulated.rated.now += by_s
    simulated.pipeline.run_maintenance()
    simulated.pass_time(2)
    simulated.pipeline.run_maintenance()
    assert len(asked) == count


def test_maintenance_that_cannot_be_stored_is_done_at_the_next_call(
    simulated: SimulatedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(simulated.rated, "a.jpg")
    with simulated.rated.library.writing() as session:
        leases.lease(session, "score", "lost", simulated.rated.now, 60, 10)
    simulated.pass_time(61)
    writing = simulated.rated.library.writing

    @contextmanager
    def failing(timeout_s: float) -> Iterator[object]:
        with suppress(ZeroDivisionError), writing(timeout_s) as session:
            yield session
            raise ZeroDivisionError
        raise NoSpace("The disk of the library is full.")

    monkeypatch.setattr(simulated.rated.library, "writing", failing)
    simulated.pipeline.run_maintenance()
    monkeypatch.undo()
    assert simulated.rated.jobs() == [("a.jpg", "score", "leased", 0)]
    simulated.pipeline.run_maintenance()
    assert simulated.rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_maintenance_that_meets_a_locked_library_is_done_at_the_next_call(simulated: SimulatedRun) -> None:
    queue(simulated.rated, "a.jpg")
    with simulated.rated.library.writing() as session:
        leases.lease(session, "score", "lost", simulated.rated.now, 60, 10)
    simulated.pass_time(61)
    with closing(sqlite3.connect(simulated.rated.library.path, isolation_level=None)) as other:
        other.execute("begin immediate")
        simulated.pipeline.run_maintenance()
    assert simulated.rated.jobs() == [("a.jpg", "score", "leased", 0)]
    simulated.pipeline.run_maintenance()
    assert simulated.rated.jobs() == [("a.jpg", "score", "ready", 0)]


def test_a_stop_ends_the_threads_and_releases_the_leases_of_this_run_only(simulated: SimulatedRun) -> None:
    pipeline, rated = simulated.pipeline, simulated.rated
    pipeline.start()
    queue(rated, "a.jpg")
    simulated.lease()
    queue(rated, "b.jpg")
    with rated.library.writing() as session:
        leases.lease(session, "score", "other", rated.now, 60, 10)
    pipeline.stop()
    assert pipeline.state.stopping.is_set()
    assert [thread.joined for thread in simulated.threads] == [1] * 5
    assert rated.jobs() == [("a.jpg", "score", "ready", 0), ("b.jpg", "score", "leased", 0)]


def test_the_description_lists_what_waits(simulated: SimulatedRun) -> None:
    waits = simulated.pipeline.state.waits
    waits.begin(MODEL, "The model is gone.")
    waits.begin(Resource("offline disk", 77), "It is unplugged.")
    description = simulated.pipeline.description()
    assert description["pauses"] == {"model": "The model is gone."}
    assert [(wait["resource"], wait["ended_by"]) for wait in description["waits"]] == [
        ("model", "check"),
        ("offline disk 77", "time"),
    ]
    assert description["pid"] == os.getpid()
    assert [Path(folder["path"]) for folder in description["folders"]] == [simulated.rated.folder]
    assert simulated.pipeline.remember(description)


def test_an_error_that_stopped_a_thread_is_raised(simulated: SimulatedRun) -> None:
    error = DatabaseUnfit("The database is damaged.")
    simulated.pipeline.state.stop(error)
    simulated.pipeline.state.stop(ModelUnavailable("A later error."))
    with pytest.raises(DatabaseUnfit) as raised:
        simulated.pipeline.run_to_the_end(lambda running: None)
    assert raised.value is error


def test_an_unexpected_error_is_named_and_loses_nothing(simulated: SimulatedRun) -> None:
    simulated.pipeline.state.stop(KeyError("width"))
    with pytest.raises(EnvironmentUnfit, match=r"KeyError: 'width'\. Nothing is lost") as raised:
        simulated.pipeline.raise_if_fatal()
    assert isinstance(raised.value.__cause__, KeyError)
