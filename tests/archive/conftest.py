"""Fixtures: object storage that fails, and whether the long form runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.archive.failing_storage import FailingStorage


@pytest.fixture
def full(request: pytest.FixtureRequest) -> None:
    """Skip a test of the long form, unless `--full` was given."""
    if not request.config.getoption("--full"):
        pytest.skip("only with --full: it takes minutes")


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
