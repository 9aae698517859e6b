"""Waits: each belongs to the thing that is missing, has a reason, and an end that its kind defines."""

from __future__ import annotations

import math

import pytest

from maclip_daemon.errors import FileChanged, Transient
from maclip_daemon.pipeline.waits import (
    DATABASE,
    DECODER,
    METADATA,
    MODEL,
    ON_BATTERY,
    POWER,
    POWER_CHECK_S,
    SPOOL,
    PowerCheck,
    Resource,
    Wait,
    Waits,
    retry_policy,
)
from maclip_daemon.settings import JobSettings

FULL_7, OFFLINE_7 = Resource("full disk", 7), Resource("offline disk", 7)


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> Waits:
    return Waits(30, clock, clock)


PAUSES = [SPOOL, DECODER, MODEL, METADATA, DATABASE, FULL_7]


@pytest.mark.parametrize("resource", PAUSES, ids=str)
def test_a_pause_is_listed_until_a_try_succeeds(waits: Waits, clock: Clock, resource: Resource) -> None:
    waits.begin(resource, "It is missing.")
    assert waits.is_waiting(resource)
    (wait,) = waits.list()
    assert (wait.resource, wait.reason, wait.ended_by) == (resource, "It is missing.", "check")
    assert (wait.since, wait.until) == (1000.0, 1030.0)
    clock.now += 31
    assert not waits.is_waiting(resource), "time for another try"
    assert waits.list() == [wait]
    assert waits.reasons() == {str(resource): "It is missing."}
    assert waits.end(resource)
    assert waits.list() == []
    assert waits.reasons() == {}


def test_a_wait_stops_only_what_needs_its_resource(waits: Waits) -> None:
    waits.begin(MODEL, "It is missing.")
    assert waits.is_waiting(SPOOL, MODEL)
    assert not waits.is_waiting(SPOOL)
    assert not waits.end(SPOOL)
    assert waits.is_waiting(MODEL)


def test_a_wait_that_begins_again_lasts_longer_and_keeps_its_beginning(waits: Waits, clock: Clock) -> None:
    assert waits.begin(MODEL, "It is missing.")
    clock.now += 20
    assert not waits.begin(MODEL, "It is missing."), "no news"
    assert waits.begin(MODEL, "It is broken.")
    (wait,) = waits.list()
    assert (wait.since, wait.until, wait.reason) == (1000.0, 1050.0, "It is broken.")


def test_a_full_disk_keeps_its_first_reason_and_is_logged_once(
    waits: Waits, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    waits.begin(FULL_7, "The disk of /a/one is full.")
    waits.begin(FULL_7, "The disk of /a/two is full.")
    assert capsys.readouterr().out.count("paused") == 1
    assert waits.devices("full disk") == [7]
    assert waits.devices("offline disk") == []
    assert waits.reasons() == {"disk 7": "The disk of /a/one is full."}
    assert waits.reasons(disks=False) == {}
    clock.now += 31
    assert waits.devices("full disk") == []
    waits.end(Resource("full disk", 8))
    assert [wait.what for wait in waits.list()] == ["ratings on disk 7"]


def test_work_that_was_under_way_when_a_wait_began_does_not_end_it(waits: Waits, clock: Clock) -> None:
    waits.begin(SPOOL, "It is full.")
    assert not waits.end(SPOOL, if_over=True)
    assert waits.is_waiting(SPOOL)
    clock.now += 31
    assert waits.end(SPOOL, if_over=True)
    assert waits.reasons() == {}


def test_time_alone_ends_the_wait_for_an_offline_disk(waits: Waits, clock: Clock) -> None:
    waits.begin(OFFLINE_7, "It cannot be read.")
    clock.now += 20
    waits.begin(Resource("offline disk", 3), "It cannot be read.")
    assert waits.devices("full disk", "offline disk") == [3, 7]
    assert [wait.ended_by for wait in waits.list()] == ["time", "time"]
    clock.now += 20
    assert waits.devices("offline disk") == [3]
    assert [wait.what for wait in waits.list()] == ["photos on disk 3"]
    clock.now += 20
    assert waits.list() == []


def test_time_ends_the_wait_of_settling_files(waits: Waits, clock: Clock) -> None:
    waits.begin(Resource("settling", "/photos"), "Changed moments ago, and may not be complete: 2.", for_s=5)
    (wait,) = waits.list()
    assert (wait.what, wait.until, wait.ended_by) == ("new files below /photos", 1005.0, "time")
    clock.now += 6
    assert waits.list() == []


@pytest.mark.parametrize(("kind", "ended_by"), [("root", "check"), ("server", "event")])
def test_a_root_and_a_server_wait_until_they_are_back_and_are_no_pauses(
    waits: Waits, clock: Clock, kind: str, ended_by: str
) -> None:
    resource = Resource(kind, "/photos")  # type: ignore[arg-type]
    waits.begin(resource, "It is offline.", for_s=math.inf)
    clock.now += 1e6
    (wait,) = waits.list()
    assert (wait.what, wait.until, wait.ended_by) == ("photos below /photos", None, ended_by)
    assert waits.reasons() == {}
    waits.end(resource)
    assert waits.list() == []


def test_retries_end_by_time_and_failed_photos_by_a_person() -> None:
    retry = Wait.of(Resource("retry", "3 score jobs"), "It was cut short.", since=None, until=5.0)
    assert (retry.what, retry.ended_by) == ("3 score jobs", "time")
    failed = Wait.of(Resource("failed", "2 photos"), "They could not be scored.", since=None, until=None)
    assert (failed.what, failed.ended_by) == ("2 photos", "person")


def test_a_wait_becomes_plain_json(waits: Waits) -> None:
    waits.begin(FULL_7, "It is full.")
    assert [wait.as_json() for wait in waits.list()] == [
        {
            "what": "ratings on disk 7",
            "resource": "disk 7",
            "reason": "It is full.",
            "since": 1000.0,
            "until": 1030.0,
            "ended_by": "check",
            "is_pause": True,
        }
    ]


def test_the_wait_for_power_lasts_as_long_as_the_machine_runs_on_battery(waits: Waits, clock: Clock) -> None:
    on_battery = False
    power = PowerCheck(waits, on_battery=lambda: on_battery, clock=clock)
    power.check()
    assert not waits.is_waiting(POWER)
    on_battery = True
    clock.now += POWER_CHECK_S
    power.check()
    (wait,) = waits.list()
    assert (wait.reason, wait.until, wait.ended_by) == (ON_BATTERY, None, "check")
    clock.now += 1e6
    assert waits.is_waiting(POWER), "longer than other pauses"
    on_battery = False
    power.check()
    assert waits.list() == []


def test_the_battery_is_read_every_ten_seconds_at_most(waits: Waits, clock: Clock) -> None:
    reads: list[float] = []
    power = PowerCheck(waits, on_battery=lambda: bool(reads.append(clock.now)), clock=clock)
    for _ in range(100):
        power.check()
        clock.now += POWER_CHECK_S / 10
    assert len(reads) == 10


def test_files_that_are_being_written_are_retried_without_end_and_all_others_are_not() -> None:
    settings = JobSettings(max_attempts=3, retry_base_s=10)
    assert retry_policy(settings, Transient("busy")).max_attempts == 3
    changing = retry_policy(settings, FileChanged("It is being written."))
    assert changing.max_attempts > 10**9
    assert [changing.pause_s(attempt) for attempt in (1, 2, 3, 100)] == [10, 20, 40, 3600]
