"""Measure what an idle daemon costs: a table of docs/performance.md.

Makes a library of FILES small photos in folders of 500, lets the daemon
score it, waits until nothing is left to do, and prints processor seconds, wake-ups and memory of the daemon
and its children over SECONDS. Processor time is counted for each process: other programs do not disturb it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from PIL import Image

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

PHOTOS_IN_A_FOLDER = 500
DIFFERENT_PICTURES = 50
QUIET_S = 75.0  # after the last job: decoders end after 30 s, scorer and metadata process after 60 s


def make_library(folder: Path, files: int) -> None:
    """Write small photos; most have the pixels of others, so their scores are known."""
    random = np.random.default_rng(0)
    sources = []
    for number in range(DIFFERENT_PICTURES):
        source = folder.parent / f"source-{number}.jpg"
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(source)
        sources.append(source.read_bytes())
    for number in range(files):
        place = folder / f"{number // PHOTOS_IN_A_FOLDER:04d}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"IMG_{number:06d}.jpg").write_bytes(sources[number % DIFFERENT_PICTURES])


def family(daemon: psutil.Process) -> Iterator[psutil.Process]:
    """Yield the daemon and its living children."""
    yield daemon
    yield from daemon.children(recursive=True)


def processor_s(daemon: psutil.Process) -> float:
    """Return the processor seconds of the daemon and of its living and ended children."""
    own = daemon.cpu_times()
    ended = own.children_user + own.children_system
    return sum(sum(process.cpu_times()[:2]) for process in family(daemon)) + ended


def wake_ups(daemon: psutil.Process) -> int:
    """Count the voluntary context switches of the threads of the daemon and its children."""
    total = 0
    for process in family(daemon):
        for task in Path(f"/proc/{process.pid}/task").iterdir():
            status = (task / "status").read_text()
            total += int(status.split("voluntary_ctxt_switches:")[1].split()[0])
    return total


def megabytes(daemon: psutil.Process) -> list[float]:
    """Return the resident memory of each process."""
    return [process.memory_info().rss / 1e6 for process in family(daemon)]


def wait_until_done(environment: dict[str, str]) -> None:
    """Wait until every photo is scored and rated and idle children have ended."""
    command = [sys.executable, "-m", "maclip_daemon", "status", "--json"]
    while True:
        time.sleep(5)
        printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        status = json.loads(printed.stdout) if printed.returncode == 0 else {}
        if status.get("photos", {}).get("scored") and not any(status["jobs"].values()):
            time.sleep(QUIET_S)
            return


def main(
    files: Annotated[int, typer.Argument(help="Photos in the library.")] = 20_000,
    seconds: Annotated[float, typer.Argument(help="How long the idle daemon is watched.")] = 600.0,
) -> None:
    """Measure what an idle daemon costs."""
    with tempfile.TemporaryDirectory(prefix="maclip-idle-") as temporary:
        home = Path(temporary)
        photos = home / "Pictures"
        make_library(photos, files)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))},
            "HOME": str(home),
            "MACLIP_DATA_DIR": str(home / "data"),
            "MACLIP_SCORING__MODEL": f"file:{write_seeded_checkpoint(home / 'model.safetensors')}",
            "MACLIP_SCORING__PROTOCOL": "agiqa224",
            "MACLIP_BACKGROUND__NICE": "0",  # somebody waits for the library to be made
        }
        command = [sys.executable, "-m", "maclip_daemon", "run", str(photos)]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            daemon = psutil.Process(process.pid)
            wait_until_done(environment)
            spent, woken, started = processor_s(daemon), wake_ups(daemon), time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - started
            spent, woken = processor_s(daemon) - spent, wake_ups(daemon) - woken
            memory = megabytes(daemon)
            process.terminate()
        print(
            f"| {files} | {passed:.0f} s | {spent:.2f} s | {100 * spent / passed:.3f} % "
            f"| {woken / passed:.1f} a second | {memory[0]:.0f} MB | {len(memory) - 1} children |"
        )
