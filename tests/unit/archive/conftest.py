"""Object storage on loopback, with the real S3 protocol."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from object_storage import ObjectStorage


@pytest.fixture(scope="session")
def storage_server() -> Iterator[ObjectStorage]:
    moto_server = pytest.importorskip("moto.server")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield ObjectStorage(f"http://{host}:{port}", "studio")
    server.stop()


@pytest.fixture
def object_storage(storage_server: ObjectStorage, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """Point every S3 client of this test, and of its children, to the server."""
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", storage_server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    if not files.exists(storage_server.bucket):
        files.mkdir(storage_server.bucket)
    return storage_server
