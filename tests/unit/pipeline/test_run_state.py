"""Signs of life, pauses and stops."""

from __future__ import annotations

import threading

import structlog

from maclip_daemon.library.storage.database_errors import DatabaseFull
from maclip_daemon.pipeline.heartbeat import Heartbeat
from maclip_daemon.pipeline.run_state import RunState, in_thread


def test_a_part_that_does_not_report_in_time_has_stalled() -> None:
    now = [100.0]
    heartbeat = Heartbeat(clock=lambda: now[0])
    heartbeat.beat("decoder", 10)
    heartbeat.beat("rating", 60)
    now[0] += 11
    assert heartbeat.stalled() == ["decoder"]
    heartbeat.beat("decoder", 10)
    assert heartbeat.stalled() == []
    now[0] += 100
    heartbeat.end("decoder")
    assert heartbeat.stalled() == ["rating"]


def test_an_error_that_a_thread_does_not_handle_stops_the_run_and_is_kept() -> None:
    state = RunState()

    def work() -> None:
        state.heartbeat.beat("worker", -1)
        raise ZeroDivisionError

    in_thread(state, "worker", work).join(10)
    assert state.stopping.is_set()
    assert isinstance(state.fatal, ZeroDivisionError)
    assert state.heartbeat.stalled() == []


def test_a_full_disk_stops_the_run_without_a_traceback_in_the_log() -> None:
    state = RunState()
    full = DatabaseFull("The disk is full.")

    def work() -> None:
        raise full

    with structlog.testing.capture_logs() as logged:
        in_thread(state, "worker", work).join(10)
    assert state.fatal is full
    assert logged == []


def test_a_stop_wakes_whoever_waits_for_work() -> None:
    state = RunState()
    woken = threading.Event()

    def wait() -> None:
        while not state.stopping.is_set():
            state.wait_for_work(60)
        woken.set()

    in_thread(state, "worker", wait)
    state.stop()
    assert woken.wait(10)
