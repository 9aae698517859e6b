"""Fixtures of the fault suite: every test records its rounds, files and faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.misbehaving_device import Device

Figures = Callable[..., None]


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Return whether the long form runs (`scripts/faults --full`)."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """Record the figures of a test for the table of docs/reliability.md.

    Call it once, after the last assertion: `figures(rounds=50, files=200, faults=61, note="…")`. A test that
    fails earlier has no figures, and its promise counts as broken.
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


@pytest.fixture(scope="session")
def nth_call(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the compiled `nth_call.c`, which lets file operations fail, or skip the test."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler (the Debian packages gcc and libc6-dev)")
    library = tmp_path_factory.mktemp("nth") / "nth_call.so"
    source = Path(__file__).with_name("nth_call.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.fixture
def device(tmp_path: Path) -> Device:
    """Return a device for the daemon's scoring process that counts batches and fails on request."""
    return Device(tmp_path / "device")
