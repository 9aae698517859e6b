"""The supervisor: restarts, reloads, pauses and stops, with a pipeline and a clock of the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from maclip_daemon.daemon import database_notice, systemd_notify, watched_folders
from maclip_daemon.daemon.supervisor import MAX_RESTARTS, RESTART_WINDOW_S, Daemon
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, ModelUnavailable, Transient, UsageError
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.run_state import RunState
from maclip_daemon.settings import Settings

Event = Callable[[], None]


def nothing() -> None:
    pass


class FakePipeline:
    """Starts, is monitored and stops; `runs` has what happens to each one while it is monitored."""

    def __init__(self, runs: Runs, settings: Settings) -> None:
        self.settings = settings
        self.state = RunState()
        self.identity = SimpleNamespace(model="test")
        self.discovery = SimpleNamespace(first_scan_began=threading.Event(), roots=[])
        self.is_stopped = False
        self._runs = runs

    def start(self) -> None:
        self._runs.started.append(self)
        self.discovery.first_scan_began.set()

    def stop(self) -> None:
        self.is_stopped = True

    def run_maintenance(self) -> None:
        pass

    def description(self) -> dict[str, Any]:
        return {"pid": 1}

    def remember(self, description: dict[str, Any]) -> bool:
        return True

    def raise_if_fatal(self) -> None:
        if isinstance(self.state.fatal, MaclipError):
            raise self.state.fatal
        raise EnvironmentUnfit("Stopped by an unexpected error.")


class Runs:
    """A daemon whose waits take no time: each runs the next event of the script, then `stop`."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings = settings
        self.now = 0.0
        self.started: list[FakePipeline] = []
        self.messages: list[str] = []
        self.script: Iterator[Event] = iter(())
        self.while_paused: Event = nothing
        self.build_error: MaclipError | None = None
        self.daemon = Daemon(
            lambda: self.settings,
            [],
            build=self._build,
            clock=lambda: self.now,  # type: ignore[arg-type]
        )
        monkeypatch.setattr(self.daemon, "_wait", self._wait)
        monkeypatch.setattr(systemd_notify, "send", lambda *lines, **_: self.messages.extend(lines) or True)

    def play(self, *events: Event) -> None:
        """Supervise until the script is over."""
        self.script = iter(events)
        self.daemon.supervise(self.settings)

    def fail(self, error: BaseException) -> Event:
        """Return an event that ends the pipeline in progress."""
        return lambda: self.started[-1].state.stop(error)

    def change_settings(self, **sections: Any) -> Event:
        """Return an event that changes the configuration file and asks for a reload."""

        def change() -> None:
            self.settings = self.settings.model_copy(update=sections)
            self.daemon.reload()

        return change

    def keep_alives(self) -> int:
        return self.messages.count("WATCHDOG=1")

    def _build(self, settings: Settings, library: Library, folders: Sequence[Path]) -> FakePipeline:
        if self.build_error is not None:
            error, self.build_error = self.build_error, None
            raise error
        return FakePipeline(self, settings)

    def _wait(self, seconds: float) -> None:
        self.now += seconds
        monitored = self.started and not self.started[-1].is_stopped
        if monitored:
            next(self.script, self.daemon.stop)()
        else:
            self.while_paused()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    configured = structlog.get_config()
    settings = Settings(
        data_dir=tmp_path / "data",
        folders={"paths": [tmp_path]},
        background={"nice": 0, "disk": "normal"},
        jobs={"pause_s": 30},
    )
    settings.data_dir.mkdir()
    yield Runs(settings, monkeypatch)
    structlog.configure(**configured)


def test_the_folders_of_the_command_line_win_over_those_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(folders={"paths": [tmp_path]})
    assert watched_folders.folders_to_watch(settings, []) == [tmp_path]
    assert watched_folders.folders_to_watch(settings, [Path("/other")]) == [Path("/other")]
    with pytest.raises(UsageError, match=r"folders\.paths"):
        watched_folders.folders_to_watch(Settings(), [])


def test_a_stop_ends_the_pipeline_and_the_daemon(runs: Runs) -> None:
    runs.play(nothing, runs.daemon.stop)
    (pipeline,) = runs.started
    assert pipeline.is_stopped
    assert runs.messages[0] == "READY=1"
    assert "STOPPING=1" in runs.messages


def test_a_stop_before_the_start_opens_nothing(runs: Runs) -> None:
    runs.daemon.stop()
    runs.play()
    assert runs.started == []
    assert not runs.settings.database_path.exists()


def test_after_an_unexpected_error_a_new_pipeline_starts_after_growing_pauses(runs: Runs) -> None:
    began: list[float] = []

    def fail() -> None:
        began.append(runs.now)
        runs.started[-1].state.stop(ZeroDivisionError())

    runs.play(fail, fail, fail)
    assert len(runs.started) == 4
    assert all(pipeline.is_stopped for pipeline in runs.started)
    tick_s = began[0]
    pauses = [later - earlier - tick_s for earlier, later in pairwise(began)]
    assert pauses == [2.0, 4.0]


def test_too_many_unexpected_errors_within_ten_minutes_end_the_daemon(runs: Runs) -> None:
    with pytest.raises(EnvironmentUnfit, match="unexpected error"):
        runs.play(*[runs.fail(ZeroDivisionError())] * (MAX_RESTARTS + 1))
    assert len(runs.started) == MAX_RESTARTS + 1


def test_unexpected_errors_far_apart_are_forgotten(runs: Runs) -> None:
    def fail_after_a_while() -> None:
        runs.now += RESTART_WINDOW_S
        runs.started[-1].state.stop(ZeroDivisionError())

    runs.play(*[fail_after_a_while] * (3 * MAX_RESTARTS))
    assert len(runs.started) == 3 * MAX_RESTARTS + 1


def test_an_error_that_lasts_ends_the_daemon_at_once(runs: Runs) -> None:
    with pytest.raises(ModelUnavailable):
        runs.play(runs.fail(ModelUnavailable("The model is gone.")))
    assert len(runs.started) == 1


def test_a_full_disk_pauses_the_daemon_with_a_notice_and_costs_no_restart(runs: Runs) -> None:
    notices: list[str] = []

    def fail() -> None:
        notices.append(database_notice.read(runs.settings.data_dir))
        runs.started[-1].state.stop(Transient("The disk is full."))

    began = runs.now
    runs.play(*[fail] * (2 * MAX_RESTARTS))
    assert len(runs.started) == 2 * MAX_RESTARTS + 1
    assert runs.now - began >= 2 * MAX_RESTARTS * runs.settings.jobs.pause_s
    assert set(notices) == {""}, "gone as soon as the next pipeline has started"
    assert "STATUS=paused: The disk is full." in runs.messages
    assert any(message.startswith("EXTEND_TIMEOUT_USEC=") for message in runs.messages)


def test_a_pause_keeps_its_notice_and_sends_keep_alives(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    wait = runs.daemon._wait

    def wait_and_record(seconds: float) -> None:
        if runs.started and runs.started[-1].is_stopped:
            seen.append((database_notice.read(runs.settings.data_dir), runs.keep_alives()))
        wait(seconds)

    monkeypatch.setattr(runs.daemon, "_wait", wait_and_record)
    runs.play(runs.fail(Transient("The disk is full.")))
    assert {notice for notice, _ in seen} == {"The disk is full."}
    alive = [count for _, count in seen]
    assert alive == list(range(alive[0], alive[0] + 15)), "one each two seconds of thirty"


def test_a_locked_database_at_the_start_is_waited_for(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    open_library = Library.open
    attempts: list[Path] = []

    def locked_at_first(path: Path) -> Library:
        attempts.append(path)
        if len(attempts) < 3:
            raise Transient("The database is locked by another program.")
        return open_library(path)

    monkeypatch.setattr(Library, "open", locked_at_first)
    runs.play()
    assert len(attempts) == 3
    assert len(runs.started) == 1
    assert runs.now >= 60


def test_a_reload_replaces_the_pipeline_by_one_with_the_new_settings(runs: Runs) -> None:
    before = runs.settings.scoring
    after = before.model_copy(update={"batch_photos": 3})
    runs.play(runs.change_settings(scoring=after))
    assert [pipeline.settings.scoring for pipeline in runs.started] == [before, after]
    assert runs.started[0].is_stopped
    reload = runs.messages.index("RELOADING=1")
    assert "READY=1" in runs.messages[reload:]


def test_a_wrong_configuration_is_reported_and_the_old_pipeline_goes_on(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> None:
        def load() -> Settings:
            raise UsageError("scorring is no section.")

        monkeypatch.setattr(runs.daemon, "_load", load)
        runs.daemon.reload()

    runs.play(wrong, nothing)
    assert len(runs.started) == 1
    reload = runs.messages.index("RELOADING=1")
    assert runs.messages[reload + 2 : reload + 4] == [
        "READY=1",
        "STATUS=configuration rejected, the old one stays: scorring is no section.",
    ]


def test_a_refused_configuration_stays_in_the_status_until_a_good_one_is_read(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = runs.daemon._load

    def refuse() -> Settings:
        raise UsageError("scorring is no section.")

    def reload_with(how: Callable[[], Settings]) -> Event:
        def reload() -> None:
            monkeypatch.setattr(runs.daemon, "_load", how)
            runs.daemon.reload()

        return reload

    def news() -> None:
        runs.messages.clear()
        description = {"pid": 2 + len(seen)}
        monkeypatch.setattr(runs.started[-1], "description", lambda: description)

    refused = "STATUS=configuration rejected, the old one stays: scorring is no section."
    seen: list[bool] = []
    record = (news, lambda: seen.append(refused in runs.messages))
    runs.play(reload_with(refuse), *record, reload_with(load), *record)
    assert seen == [True, False]
    assert "STATUS=watching" in runs.messages


def test_a_reload_cannot_move_the_data_folder(runs: Runs, tmp_path: Path) -> None:
    runs.play(runs.change_settings(data_dir=tmp_path / "other"))
    assert len(runs.started) == 1
    assert any("data_dir cannot change" in message for message in runs.messages)


def test_a_new_model_that_is_not_installed_keeps_the_old_pipeline(runs: Runs) -> None:
    def reload() -> None:
        runs.build_error = ModelUnavailable("rn50-openai is not installed.")
        runs.daemon.reload()

    runs.play(reload, nothing)
    assert len(runs.started) == 1


def test_a_reload_while_the_database_is_locked_is_done_later(runs: Runs) -> None:
    after = runs.settings.scoring.model_copy(update={"batch_photos": 3})

    def reload() -> None:
        runs.build_error = Transient("The database is locked by another program.")
        runs.change_settings(scoring=after)()

    runs.play(reload, nothing)
    assert [pipeline.settings.scoring for pipeline in runs.started][1:] == [after]


def test_a_reload_during_a_pause_applies_to_the_next_pipeline(runs: Runs) -> None:
    after = runs.settings.scoring.model_copy(update={"batch_photos": 3})
    runs.while_paused = runs.change_settings(scoring=after)
    runs.play(runs.fail(Transient("The disk is full.")))
    assert [pipeline.settings.scoring for pipeline in runs.started][1:] == [after]
    assert runs.messages.index("STATUS=paused: The disk is full.") < runs.messages.index("RELOADING=1")


def test_no_keep_alive_is_sent_while_a_part_has_stalled(runs: Runs) -> None:
    counts: list[int] = []

    def stall() -> None:
        counts.append(runs.keep_alives())
        runs.started[-1].state.heartbeat.beat("scorer", -1)

    def recover() -> None:
        counts.append(runs.keep_alives())
        runs.started[-1].state.heartbeat.beat("scorer", 60)

    runs.play(nothing, stall, nothing, nothing, recover, nothing, lambda: counts.append(runs.keep_alives()))
    before, stalled, after = counts
    assert before == stalled == 1
    assert after == 3


def test_pauses_of_the_pipeline_are_shown_by_the_service_manager(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause() -> None:
        pipeline = runs.started[-1]
        monkeypatch.setattr(pipeline.state.waits, "reasons", lambda: {"model": "The model is busy."})
        monkeypatch.setattr(pipeline, "description", lambda: {"pid": 1, "pauses": 1})

    runs.play(pause, nothing)
    assert "STATUS=paused: The model is busy." in runs.messages
