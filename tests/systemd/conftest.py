"""Fixtures: one booted container a session, and a home in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.systemd import container
from tests.systemd.container import Container
from tests.systemd.container_root import UID, USER
from tests.systemd.service import Service, SystemService, journal_faults


@pytest.fixture(scope="session")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Yield a container with systemd as PID 1; skip where none can run."""
    if reason := container.unavailable_reason():
        pytest.skip(reason)
    try:
        with container.booted(tmp_path_factory.mktemp("systemd")) as running:
            yield running
    except RuntimeError as error:
        pytest.skip(f"no container with systemd can run here: {error}")


@pytest.fixture
def service(booted: Container) -> Iterator[Service]:
    """Yield the service of a user who is always there (linger); not installed yet."""
    booted.run("loginctl", "enable-linger", USER)
    booted.run("systemctl", "start", f"user@{UID}.service")  # linger does not wait for it
    service = Service(booted)
    before = len(service.journal())
    yield service
    service.remove()
    assert service_faults(service, before) == []


@pytest.fixture
def system_service(booted: Container) -> Iterator[SystemService]:
    """Yield the service of the system template; not installed yet."""
    if container.libraries().is_relative_to("/tmp"):
        pytest.skip("PrivateTmp= of the template hides a Python environment below /tmp")
    service = SystemService(booted)
    before = len(service.journal())
    yield service
    service.remove()
    assert service_faults(service, before) == []


def service_faults(service: Service, before: int) -> list[str]:
    """Return the faults of the lines that came since the journal had `before` lines."""
    lines = service.written()[before:]
    assert lines, "the service wrote nothing into the journal"
    return journal_faults(lines)
