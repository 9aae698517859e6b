"""An archive in Google's or Azure's storage, or on a file server: scored, gone on with, reported on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import fsspec
import pytest

from tests.archive.archive_process import TIMEOUT_S
from tests.archive.storage_servers import azure, file_server, google, require
from tests.homes import Home, make_photos

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.usefixtures("full")]


@pytest.fixture(params=["gs", "az", "sftp"])
def bucket(
    request: pytest.FixtureRequest, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Run a server of one kind; yield the address of its bucket, which the test and its children reach."""
    kind = request.param
    require(*{"gs": ("gcsfs",), "az": ("adlfs",), "sftp": ("asyncssh", "paramiko")}[kind])
    folder = tmp_path / "storage"
    folder.mkdir()
    with ExitStack() as stack:
        address = f"{kind}://studio"
        environment: dict[str, str] = {}
        if kind == "gs":
            environment = stack.enter_context(google(folder))
        elif kind == "az":
            environment = stack.enter_context(azure(folder))
        else:
            port = stack.enter_context(file_server(folder, home.folder))
            environment = {"HOME": str(home.folder)}
            address = f"sftp://photographer@127.0.0.1:{port}/studio"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        home.environment |= environment
        yield address


def test_an_archive_elsewhere_is_scored_gone_on_with_and_reported_on(home: Home, bucket: str) -> None:
    make_photos(home.photos, 4)
    files, root = fsspec.core.url_to_fs(bucket)
    last = home.photos / "IMG_0003.jpg"
    for photo in sorted(home.photos.iterdir()):
        if photo != last:
            files.makedirs(f"{root}/in/day 1", exist_ok=True)
            files.put_file(str(photo), f"{root}/in/day 1/{photo.name}")
    command = ("archive", f"{bucket}/in", "--out", f"{bucket}/out")
    done = home.maclip(*command, timeout_s=TIMEOUT_S)
    assert "3 photos scored, 0 failed" in done.stdout

    files.put_file(str(last), f"{root}/in/day 1/{last.name}")
    again = home.maclip(*command, timeout_s=TIMEOUT_S)
    assert "1 photo scored, 0 failed, 3 were done before" in again.stdout
    assert "all 4 photos have a row" in home.maclip(*command, timeout_s=TIMEOUT_S).stdout

    report = home.json("archive", "report", f"{bucket}/out", "--json")
    assert (report["photos"], report["scored"]) == (4, 4)
    assert {row["address"] for row in report["worst"]} == {
        f"{bucket}/in/day 1/IMG_{number:04d}.jpg" for number in range(4)
    }
