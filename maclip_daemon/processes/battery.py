"""Whether this machine runs on battery."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

SUPPLIES = Path("/sys/class/power_supply")
_OWN_STORES = ("Battery", "UPS")


def on_battery(supplies: Path = SUPPLIES) -> bool:
    """Whether a battery drives this machine and no charger is plugged in; False where nobody can tell.

    On Linux by the rule of systemd's `ConditionACPower=`: a charger that is online, of whatever kind, means
    mains; else a battery that is discharging means battery. Batteries of mice and headphones (their scope is
    "Device") do not count; psutil would take them for the machine's own.
    """
    if sys.platform != "linux":
        battery = psutil.sensors_battery()
        return battery is not None and battery.power_plugged is False
    try:
        found = [supply for supply in supplies.iterdir() if _read(supply, "scope") != "Device"]
    except OSError:
        return False
    chargers = [supply for supply in found if _read(supply, "type") not in _OWN_STORES]
    stores = [supply for supply in found if supply not in chargers]
    if any(_read(charger, "online") not in ("", "0") for charger in chargers):
        return False
    return any(_read(store, "status") == "Discharging" for store in stores)


def _read(supply: Path, attribute: str) -> str:
    try:
        return (supply / attribute).read_text(encoding="ascii", errors="replace").strip()
    except OSError:  # many drivers lack one attribute or another, or fail while a device is unplugged
        return ""
