"""Fixtures: object storage that fails, whether Ray itself works here, and whether the long form runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.archive.failing_storage import FailingStorage


@pytest.fixture(autouse=True, scope="package")
def as_installed() -> Iterator[None]:
    """Let Ray's processes start as those of a user do, without what only tools of development bring."""
    with pytest.MonkeyPatch.context() as patch:
        folder = Path(__file__).with_name("as_installed")
        patch.setenv("PYTHONPATH", os.fspath(folder), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def ray_works() -> None:
    """Skip a test where Ray alone cannot start, as in containers without shared memory."""
    alone = "import ray; ray.init(num_cpus=1, include_dashboard=False); assert ray.get(ray.put(1)) == 1"
    try:
        subprocess.run([sys.executable, "-c", alone], check=True, capture_output=True, timeout=180)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        told = (error.stderr or b"it did not answer").decode(errors="replace").strip().splitlines()
        pytest.skip(f"Ray does not start on this machine: {told[-1]}")


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingStorage]:
    """Run a server of S3 with the bucket `studio`; all clients of this test and its children use it."""
    import s3fs

    made = FailingStorage()
    for name, value in {
        "AWS_ENDPOINT_URL": made.endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",  # the pauses under test are ours
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    if not files.exists("studio"):
        files.mkdir("studio")
    yield made
    s3fs.S3FileSystem.clear_instance_cache()
    made.close()
