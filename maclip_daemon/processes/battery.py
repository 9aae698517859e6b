"""Detection of battery power."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

SUPPLIES = Path("/sys/class/power_supply")
_BATTERY_TYPES = ("Battery", "UPS")


def on_battery(supplies: Path = SUPPLIES) -> bool:
    """Return whether this machine runs on battery; False where that is unknown.

    On Linux by the rule of systemd's `ConditionACPower=`: any charger that is online means mains, else a
    discharging battery means battery. psutil would also count the batteries of mice and headphones, whose
    scope is "Device".
    """
    if sys.platform != "linux":
        battery = psutil.sensors_battery()
        return battery is not None and battery.power_plugged is False
    try:
        found = [supply for supply in supplies.iterdir() if _read(supply, "scope") != "Device"]
    except OSError:
        return False
    chargers = [supply for supply in found if _read(supply, "type") not in _BATTERY_TYPES]
    batteries = [supply for supply in found if supply not in chargers]
    if any(_read(charger, "online") not in ("", "0") for charger in chargers):
        return False
    return any(_read(battery, "status") == "Discharging" for battery in batteries)


def _read(supply: Path, attribute: str) -> str:
    try:
        return (supply / attribute).read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # many drivers lack one attribute or another, or fail while a device is unplugged
        return ""
