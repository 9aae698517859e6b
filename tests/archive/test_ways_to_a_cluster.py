"""docs/archive/ray-start.sh as its comments tell it: machines join, an archive is scored, Ray is ended."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.archive_process import TIMEOUT_S
from tests.archive.result_rows import rows_of
from tests.homes import Home, make_photos

SCRIPT = Path(__file__).parents[2] / "docs/archive/ray-start.sh"
# `ray stop` ends every Ray of a machine: the test has processes and a network of its own.
ALONE = ("unshare", "--pid", "--net", "--mount-proc", "--fork", "--kill-child")
COMMANDS = """
ip link set lo up
"$SCRIPT" head
"$SCRIPT" worker 127.0.0.1
"$PYTHON" -m maclip_daemon archive "$PHOTOS" --out "$OUT" --address auto
ray stop --grace-period 10
"""


@pytest.fixture
def rays_folder() -> Iterator[str]:
    """Yield a folder for Ray alone, where `auto` finds this cluster; sockets need a short path."""
    with tempfile.TemporaryDirectory(prefix="ray") as folder:
        yield folder


@pytest.mark.xdist_group("ray")
@pytest.mark.long_form
@pytest.mark.skipif(os.geteuid() != 0, reason="needs a network namespace: run it as root")
@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux is not installed")
def test_machines_that_one_has_become_a_cluster(home: Home, rays_folder: str) -> None:
    make_photos(home.photos, 8)
    out = home.folder / "results"
    environment = home.environment | {
        "SCRIPT": str(SCRIPT),
        "PYTHON": sys.executable,
        "PHOTOS": str(home.photos),
        "OUT": str(out),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_TMPDIR": rays_folder,
        "RAY_worker_niceness": "0",
    }
    done = subprocess.run(
        [*ALONE, "bash", "-euc", COMMANDS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 photos scored, 0 failed" in done.stdout
    assert len(rows_of(out)) == 8
    cores = 2 * (os.cpu_count() or 1)  # both of its machines are this one
    assert f"{cores} cores, 2 models" in done.stderr
