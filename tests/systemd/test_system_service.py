"""The system template, printed and installed as docs/service.md says, under a real systemd."""

from __future__ import annotations

from tests.homes import until
from tests.systemd.service import HOME, SystemService


def test_the_template_rates_photos_and_refuses_everything_else(system_service: SystemService) -> None:
    service = system_service
    service.write(HOME / ".ssh" / "id", "a key")
    found = service.probe()
    assert {name for name, outcome in found.items() if outcome == "allowed"} == {"photos"}
    service.rates_a_new_photo()
    assert service.property("StatusText") == "watching"
    service.control("reload")
    until(lambda: service.lines("configuration reloaded"), "the reload")
    service.kill("KILL")
    service.control("restart")
    service.rates_a_new_photo()
    service.control("stop")
    assert (service.property("ActiveState"), service.property("Result")) == ("inactive", "success")
    # A lasting failure is not repeated.
    service.configure(scoring={"model": "file:/home/alice/gone.safetensors"})
    service.control("start", expect=1)
    assert (service.property("ActiveState"), service.property("ExecMainStatus")) == ("failed", "3")
    assert "not running: it stopped at" in service.maclip("status")
