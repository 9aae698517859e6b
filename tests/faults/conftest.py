"""Figures of the fault suite: every test says how many rounds, files and faults it went through."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.misbehaving_device import Device

Figures = Callable[..., None]


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long form was asked for (`scripts/faults --full`)."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Record what a test went through; `scripts/faults` makes the table of docs/reliability.md of it.

    Call it once, after the last assertion: `figures(rounds=50, files=200, faults=61, note="…")`. A test that
    does not get there has no figures, and its promise counts as not kept.
    """
    kept: dict[str, Any] = {}
    started = time.monotonic()

    def record(*, rounds: int, files: int, faults: int, note: str = "") -> None:
        kept.update(rounds=rounds, files=files, faults=faults, note=note)

    yield record
    folder = os.environ.get("MACLIP_FAULT_FIGURES")
    if folder and kept:
        node = request.node.nodeid
        kept |= {"test": node, "promise": Path(node.partition("::")[0]).stem.removeprefix("test_")}
        kept |= {"seconds": round(time.monotonic() - started), "full": request.config.getoption("--full")}
        name = node.partition("::")[2].replace("/", "_")[:150]
        (Path(folder) / f"{kept['promise']}-{name}.json").write_text(json.dumps(kept), encoding="utf-8")


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """A device of the daemon's scoring process: it counts what it encodes, and fails when it is told to."""
    return Device(tmp_path / "device")
