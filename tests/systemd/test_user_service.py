"""The unit that `maclip service install` writes, under a real systemd, with the built-in model."""

from __future__ import annotations

import re
import time

import pytest

from tests.homes import until
from tests.systemd import container
from tests.systemd.container_root import USER
from tests.systemd.memory_limit import memory_limit
from tests.systemd.service import Service

RESTART_S = 60.0  # for a restart, on a busy machine


def test_a_start_counts_once_the_first_scan_has_begun(service: Service) -> None:
    service.install()
    assert service.lines("folder watched")
    service.rates_a_new_photo()
    service.control("stop")
    # On a full disk no scan begins: the start waits, and the manager shows why.
    owner = service.container.outside(service.data).stat().st_uid
    options = f"size=8k,mode=700,uid={owner}"
    service.container.run("mount", "-t", "tmpfs", "-o", options, "full", service.data)
    try:
        service.control("start", "--no-block")
        until(lambda: service.property("StatusText").startswith("paused: "), "a full disk")
        assert service.property("ActiveState") == "activating"
        service.container.run("mount", "-o", "remount,size=64m", service.data)
        until(lambda: service.property("ActiveState") == "active", "space")
        assert service.property("StatusText") == "watching"
        assert "Removed" in service.maclip("service", "uninstall")
        assert service.property("LoadState") == "not-found"
    finally:
        service.container.run("umount", "--lazy", service.data)


def test_a_daemon_that_hangs_is_restarted_by_the_watchdog(service: Service) -> None:
    service.install(WatchdogSec="15", RestartSec="1")
    service.rates_a_new_photo()
    service.kill("STOP")
    until(service.has_restarted, "the watchdog", RESTART_S)
    service.rates_a_new_photo()
    report = service.container.outside(service.data / "last-crash.txt")
    assert "Thread" in report.read_text("utf-8"), "what it did when it hung"
    assert [priority for priority, _ in service.lines(report.name)] == [4]


def test_a_killed_daemon_is_restarted_and_not_without_end(
    service: Service, request: pytest.FixtureRequest
) -> None:
    starts = 5 if request.config.getoption("--full") else 2
    service.install(RestartSec="1", StartLimitBurst=str(starts))
    for times in range(1, starts):
        service.kill("KILL")
        until(lambda times=times: service.has_restarted(times), f"restart {times}", RESTART_S)
    service.rates_a_new_photo()
    service.kill("KILL")
    until(lambda: service.property("ActiveState") == "failed", "the end of the restarts", RESTART_S)
    assert "not running: it was killed" in service.maclip("status")


def test_a_lasting_failure_is_not_repeated_and_status_says_why(service: Service) -> None:
    service.install(RestartSec="0.1")
    service.control("stop")
    service.configure(scoring={"model": "file:/home/alice/gone.safetensors"})
    service.control("start", expect=1)
    time.sleep(1)
    assert (service.property("ActiveState"), service.property("NRestarts")) == ("failed", "0")
    assert service.property("ExecMainStatus") == "3"
    reason = "The model file /home/alice/gone.safetensors does not exist."
    assert reason in service.maclip("status")
    assert reason in service.property("StatusText")
    assert [priority for priority, _ in service.lines(reason)] == [3]
    service.configure()
    service.control("start")
    service.control("stop")
    assert "daemon     not running\n" in service.maclip("status")


def test_a_good_configuration_is_reloaded_and_a_wrong_one_refused(service: Service) -> None:
    service.install()
    service.rates_a_new_photo()
    rated = len(service.rated())
    service.configure(rating={"mode": "off"})
    service.control("reload")
    until(lambda: service.lines("configuration reloaded"), "the reload")
    service.add_copy()
    until(service.has_scored_all, "a score")
    assert len(service.rated()) == rated
    service.configure(scorring={"threads": 1})
    service.control("reload")
    until(lambda: service.lines("configuration rejected"), "the refusal")
    (refusal,) = service.lines("configuration rejected")
    assert refusal[0] == 3
    assert "scorring" in refusal[1]
    service.configure()
    service.add_copy()
    until(service.has_scored_all, "a score with the old configuration")
    assert len(service.rated()) == rated
    assert "configuration rejected" in service.property("StatusText")
    limits = {"NRestarts": "0", "RestartUSec": "10s", "StartLimitBurst": "5", "WatchdogUSec": "2min"}
    assert {name: service.property(name) for name in limits} == limits


def test_a_stop_with_work_in_hand_ends_in_order(service: Service) -> None:
    names = service.add_photos(40)
    service.install()
    until(lambda: service.rated() & set(names), "the first rating")
    service.control("stop")
    assert (service.property("ActiveState"), service.property("Result")) == ("inactive", "success")
    assert service.status()["jobs"]["score"] > 0, "the work was over"
    assert not list(service.container.outside(service.data / "spool").iterdir())
    service.forget(names)


def test_it_ends_with_the_last_log_out_and_with_linger_it_goes_on(service: Service) -> None:
    inside = service.container
    service.install()
    with inside.session():
        inside.run("loginctl", "disable-linger", USER)
        assert service.status()["running"]
    until(lambda: not service.status()["running"], "the end of the user's manager", RESTART_S)
    assert "daemon     not running\n" in service.maclip("status"), "it was asked to end"
    with inside.session():
        until(lambda: service.status()["running"], "a start at the next log-in", RESTART_S)
        inside.run("loginctl", "enable-linger", USER)
    time.sleep(1)
    until(lambda: service.property("ActiveState") == "active", "the first scan", RESTART_S)
    service.rates_a_new_photo()


def test_an_update_of_the_program_restarts_the_service(service: Service) -> None:
    service.install(RestartSec="1")
    service.rates_a_new_photo()
    pid = service.property("MainPID")
    container.install(service.container.root, version="99.0")
    until(lambda: service.property("MainPID") not in (pid, "0"), "the restart", RESTART_S)
    until(lambda: service.property("ActiveState") == "active", "the new version", RESTART_S)
    assert "99.0" in service.maclip("--version")
    assert [priority for priority, _ in service.lines("maclip was updated")] == [3]
    service.rates_a_new_photo()


def test_a_scorer_at_its_memory_limit_ends_alone(service: Service) -> None:
    service.install()
    service.rates_a_new_photo()
    assert service.property("OOMPolicy") == "continue"
    pid = service.property("MainPID")
    with memory_limit(service, 150) as has_killed:
        (name,) = service.add_photos(1)
        until(has_killed, "the kernel's kill")
        assert service.property("MainPID") == pid
    until(lambda: name in service.rated(), "a rating with enough memory")
    assert (service.property("MainPID"), service.property("NRestarts")) == (pid, "0")


def test_the_user_unit_refuses_what_the_daemon_never_does(service: Service) -> None:
    found = service.probe()
    assert found["photos"] == "allowed"
    refused = {"network", "netlink", "namespace", "program"}
    assert {name for name in refused if found[name] == "allowed"} == set()
    isolation = {"PrivateUsers": "yes", "PrivateNetwork": "yes", "ProtectSystem": "full"}
    assert {name: service.property(name) for name in isolation} == isolation
    assert found_exposure(service) < 3


def found_exposure(service: Service) -> float:
    """Return what systemd says of the running unit: 0 is best, 10 is worst."""
    analyze = ("systemd-analyze", "--user", "security", "--no-pager", service.unit)
    printed = service.container.run(*analyze, user=USER, expect=None)
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", printed)
    assert found is not None, printed
    return float(found[1])
