"""Battery or mains, as the kernel lists the supplies of real machines."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from maclip_daemon.processes.battery import on_battery

if sys.platform != "linux":
    pytest.skip("supplies are read as Linux lists them", allow_module_level=True)

MAINS, UNPLUGGED = {"type": "Mains", "online": "1"}, {"type": "Mains", "online": "0"}
CHARGING = {"type": "Battery", "scope": "System", "status": "Charging"}
DISCHARGING = {"type": "Battery", "status": "Discharging"}
FULL = {"type": "Battery", "status": "Full"}
MOUSE = {"type": "Battery", "scope": "Device", "status": "Discharging"}
USB_C, UNUSED = {"type": "USB", "online": "1"}, {"type": "USB", "online": "0"}
PROGRAMMABLE = {"type": "USB", "online": "2"}


@pytest.mark.parametrize(
    ("machine", "supplies", "expected"),
    [
        ("a desktop", {}, False),
        ("a desktop with a wireless mouse", {"hidpp_battery_0": MOUSE}, False),
        ("a laptop that is plugged in", {"AC": MAINS, "BAT0": CHARGING}, False),
        ("a laptop that is unplugged", {"AC": UNPLUGGED, "BAT0": DISCHARGING}, True),
        ("a laptop that is unplugged, with a mouse", {"BAT0": DISCHARGING, "hidpp_battery_0": MOUSE}, True),
        ("a laptop whose charger is too weak", {"AC": MAINS, "BAT0": DISCHARGING}, False),
        (
            "a laptop that charges by USB",
            {"ucsi-1": USB_C, "ucsi-2": UNUSED, "BAT0": DISCHARGING},
            False,
        ),
        ("a laptop at a programmable USB supply", {"ucsi-1": PROGRAMMABLE, "BAT0": DISCHARGING}, False),
        ("a laptop with two batteries", {"AC": UNPLUGGED, "BAT0": FULL, "BAT1": DISCHARGING}, True),
        ("a laptop that stopped charging at 80 %", {"AC": MAINS, "BAT0": FULL}, False),
        ("a laptop whose driver tells no charger", {"BAT0": CHARGING}, False),
        ("a power failure", {"ups": {"type": "UPS", "status": "Discharging"}}, True),
        ("a driver that tells nothing", {"BAT0": {}}, False),
    ],
)
def test_a_machine_runs_on_battery_when_nothing_else_drives_it(
    tmp_path: Path, machine: str, supplies: dict[str, dict[str, str]], expected: bool
) -> None:
    for name, attributes in supplies.items():
        (tmp_path / name).mkdir()
        for attribute, value in attributes.items():
            (tmp_path / name / attribute).write_text(value + "\n")
    assert on_battery(tmp_path) is expected, machine


def test_without_a_list_of_supplies_it_is_mains(tmp_path: Path) -> None:
    assert not on_battery(tmp_path / "none")
