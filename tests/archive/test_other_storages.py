"""An archive in Google's or Azure's storage, or on a file server: the whole way, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from maclip_daemon.archive.storage import Pauses, insist, place_of
from tests.archive import storage_servers
from tests.archive.archive_process import TIMEOUT_S
from tests.archive.result_rows import compare_with_daemon, rows_of
from tests.archive.storage_servers import FileServerProcess, azure, file_server, google, require
from tests.homes import Home, make_photos

pytestmark = [pytest.mark.xdist_group("ray"), pytest.mark.long_form]
NO_RIGHTS = "may not be read with these credentials. Check the rights of this account."
NO_WRITING = "these credentials give no access to it. Check the account's rights."
NO_ANSWER = "cannot be reached now. Check the address and the network, and try again."


@dataclass(frozen=True)
class Bucket:
    """Storage with one bucket, and people who may do less than all in it."""

    address: str
    reader: dict[str, str] = field(default_factory=dict)
    """The environment of somebody who may not write; empty where the emulator knows no rights."""
    stranger: dict[str, str] = field(default_factory=dict)
    """The environment of somebody who may do nothing."""
    nowhere: dict[str, str] = field(default_factory=dict)
    """The environment in which nothing answers."""
    nowhere_address: str = ""


@pytest.fixture(params=["gs", "az", "sftp"])
def bucket(
    request: pytest.FixtureRequest, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """Run a server of one kind, which the test and its children reach."""
    kind = request.param
    require(*{"gs": ("gcsfs",), "az": ("adlfs",), "sftp": ("paramiko",)}[kind])
    folder = tmp_path / "storage"
    folder.mkdir()
    address = f"{kind}://studio"
    nowhere_port = storage_servers.free_port()
    with ExitStack() as stack:
        if kind == "gs":
            environment = stack.enter_context(google(folder))
            nowhere = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{nowhere_port}"}
            found = Bucket(address, nowhere=nowhere, nowhere_address=address)
        elif kind == "az":
            environment = stack.enter_context(azure(folder))
            reader, stranger = (
                storage_servers.azure_reader(environment),
                storage_servers.azure_stranger(environment),
            )
            found = Bucket(address, reader, stranger, storage_servers.azure_nowhere(), address)
        else:
            server = stack.enter_context(file_server(folder))
            server.let_in(home.folder)
            server.let_in(tmp_path / "reader", "internal-sftp -R")
            (tmp_path / "stranger" / ".ssh").mkdir(parents=True)
            known = home.folder / ".ssh" / "known_hosts"
            (tmp_path / "stranger" / ".ssh" / "known_hosts").write_bytes(known.read_bytes())
            environment = {"HOME": str(home.folder)}
            found = Bucket(
                server.address,
                {"HOME": str(tmp_path / "reader")},
                {"HOME": str(tmp_path / "stranger")},
                {},
                server.address.replace(f":{server.port}/", f":{nowhere_port}/"),
            )
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        home.environment |= environment
        yield found


def test_an_archive_elsewhere_goes_the_whole_way(home: Home, bucket: Bucket) -> None:
    make_photos(home.photos, 4)
    place = place_of(bucket.address)
    files, root = place.file_system, place.path
    last = home.photos / "IMG_0003.jpg"
    for photo in sorted(home.photos.iterdir()):
        if photo != last:
            files.makedirs(f"{root}/in/day 1", exist_ok=True)
            files.put_file(str(photo), f"{root}/in/day 1/{photo.name}")
    source, out = f"{bucket.address}/in", f"{bucket.address}/out"
    command = ("archive", source, "--out", out)
    done = home.maclip(*command, timeout_s=TIMEOUT_S)
    assert "3 photos scored, 0 failed" in done.stdout

    files.put_file(str(last), f"{root}/in/day 1/{last.name}")
    again = home.maclip(*command, timeout_s=TIMEOUT_S)
    assert "1 photo scored, 0 failed, 3 were done before" in again.stdout
    assert "all 4 photos have a row" in home.maclip(*command, timeout_s=TIMEOUT_S).stdout

    report = home.json("archive", "report", out, "--json")
    assert (report["photos"], report["scored"]) == (4, 4)
    addresses = {f"{source}/day 1/IMG_{number:04d}.jpg" for number in range(4)}
    assert {row["address"] for row in report["worst"]} == addresses

    other = {"MACLIP_DATA_DIR": str(home.folder / "another library")}
    brought = home.maclip("archive", "import", out, home.photos, timeout_s=TIMEOUT_S, **other)
    assert "4 scored, 4 of them from the archive" in brought.stdout
    beside = home.maclip("archive", "sidecars", out, "--below", home.photos, "--source", f"{source}/day 1")
    assert "4 written" in beside.stdout
    home.maclip("undo")

    home.maclip("run", "--once", home.photos)
    local = home.folder / "results"
    for part in files.find(f"{root}/out"):
        copy = local / part.removeprefix(f"{root}/out/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        files.get_file(part, str(copy))
    assert compare_with_daemon(rows_of(local), home) == 4
    assert sorted(path.name for path in local.iterdir()) == ["generation=1"]


def test_what_is_refused_or_does_not_answer_is_one_sentence(home: Home, bucket: Bucket) -> None:
    make_photos(home.photos, 1)
    place = place_of(bucket.address)
    place.file_system.makedirs(f"{place.path}/in", exist_ok=True)
    place.file_system.put_file(str(home.photos / "IMG_0000.jpg"), f"{place.path}/in/a.jpg")
    source, out = f"{bucket.address}/in", f"{bucket.address}/out"
    here = home.folder / "results"
    quick = {"MACLIP_ARCHIVE__STORAGE_ATTEMPTS": "2"}

    gone = {**bucket.nowhere, **quick}
    told = [
        (("archive", source.replace(bucket.address, bucket.nowhere_address), "--out", here), gone, NO_ANSWER),
        (("archive", home.photos, "--out", bucket.nowhere_address), gone, NO_ANSWER),
        (("archive", "report", bucket.nowhere_address), gone, NO_ANSWER),
    ]
    if bucket.stranger:
        strange = {**bucket.stranger, **quick}
        told += [
            (("archive", source, "--out", here), strange, NO_RIGHTS),
            (("archive", home.photos, "--out", out), strange, NO_RIGHTS),
            (("archive", "report", out), strange, NO_RIGHTS),
            (("archive", home.photos, "--out", out), {**bucket.reader, **quick}, NO_WRITING),
        ]
    for command, environment, expected in told:
        done = home.maclip(*command, expect=None, timeout_s=TIMEOUT_S, **environment)
        assert (done.returncode, done.stdout) == (3, ""), f"{command}: {done.stdout}{done.stderr}"
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.endswith(f"{expected}\n"), done.stderr
    nothing = home.maclip("archive", f"{bucket.address}/none", "--out", here, expect=2)
    assert nothing.stderr == f"maclip: There is nothing at {bucket.address}/none. Check the spelling.\n"
    assert [path.rpartition("/")[2] for path in place.file_system.find(place.path)] == ["a.jpg"]


@pytest.fixture
def server(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServerProcess]:
    require("paramiko")
    (tmp_path / "server").mkdir()
    with file_server(tmp_path / "server") as made:
        made.let_in(home.folder)
        monkeypatch.setenv("HOME", str(home.folder))
        home.environment["HOME"] = str(home.folder)
        yield made


def test_a_file_server_that_comes_back_is_asked_again(server: FileServerProcess) -> None:
    place = place_of(server.address)
    place.file_system.pipe_file(f"{server.files}/a.jpg", b"whole")
    server.stop()
    server.start()
    path = f"{server.files}/a.jpg"
    assert insist(lambda: place.file_system.cat_file(path), Pauses(5, 0.1), path) == b"whole"


def test_only_a_known_file_server_is_believed(home: Home, server: FileServerProcess) -> None:
    command = ("archive", server.address, "--out", home.folder / "results")
    known = home.folder / ".ssh" / "known_hosts"
    content = known.read_bytes()
    known.unlink()
    told = home.maclip(*command, expect=3).stderr
    assert told == (
        f"maclip: The file server [127.0.0.1]:{server.port} is not known on this machine yet. Log in once "
        "with `ssh`, which shows its key and remembers it in ~/.ssh/known_hosts.\n"
    )
    known.write_bytes(content)
    server.stop()
    server.renew_key()
    server.start()
    told = home.maclip(*command, expect=3).stderr
    assert told.startswith(f"maclip: The file server [127.0.0.1]:{server.port} has another key than the one")
    assert told.count("\n") == 1
