"""Storage that fails: what is tried again, for how long, and what a failure amounts to."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from maclip_daemon.archive import storage
from maclip_daemon.archive.addresses.address_errors import readable
from maclip_daemon.archive.storage import (
    Pauses,
    Place,
    address_of_path,
    failure_of,
    insist,
    names_below,
    place_of,
    source_of,
)
from maclip_daemon.archive.whole_files import write_whole
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, NoPermission, NoSpace, PhotoMissing, Transient


class NoCredentialsError(Exception):
    """As botocore calls it."""


class ClientAuthenticationError(Exception):
    """As azure.core calls it."""


class HttpResponseError(Exception):
    """As azure.core calls it, for a signature that allows less."""

    status_code = 403


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError(), PhotoMissing),
        (IsADirectoryError(), PhotoMissing),
        (OSError(errno.ENAMETOOLONG, "File name too long"), PhotoMissing),
        (PermissionError(), NoPermission),
        (NoCredentialsError(), NoPermission),
        (ClientAuthenticationError(), NoPermission),
        (HttpResponseError(), NoPermission),
        (OSError(errno.ENOSPC, "No space left on device"), NoSpace),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), NoSpace),
        (OSError(errno.EIO, "Input/output error"), Transient),
        (RuntimeError("anything that a library raises"), Transient),
    ],
)
def test_errors_of_storage_have_kinds(error: Exception, expected: type[MaclipError]) -> None:
    failure = failure_of(error, "s3://studio/new\nline.jpg")
    assert type(failure) is expected
    assert "\n" not in str(failure)


def test_pauses_grow_up_to_half_a_minute_and_are_never_in_step() -> None:
    pauses = Pauses(20, 0.5)
    seconds = [pauses.after(attempt) for attempt in range(1, 20)]
    assert all(0.25 * 2**number <= each <= 0.5 * 2**number for number, each in enumerate(seconds[:6]))
    assert max(seconds) <= 30
    assert len(set(seconds)) == len(seconds)


def test_only_what_may_get_better_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", slept.append)
    answers: list[Exception | str] = [OSError("503"), RuntimeError("reset"), "whole"]

    def work() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert insist(work, Pauses(3, 1.0), "a") == "whole"
    assert len(slept) == 2
    answers = [FileNotFoundError(), "never asked"]
    with pytest.raises(PhotoMissing):
        insist(work, Pauses(3, 1.0), "a")
    answers = [OSError("503")] * 4
    with pytest.raises(Transient):
        insist(work, Pauses(3, 1.0), "a")
    assert len(answers) == 1


def test_what_a_store_says_of_an_object_becomes_its_version() -> None:
    amazon = source_of(
        "s3://b/a.jpg", {"size": 3, "ETag": '"e"', "LastModified": "2026-05-04T10:00:00+00:00"}
    )
    assert (amazon.size, amazon.etag) == (3, "e")
    assert amazon.mtime is not None
    assert amazon.mtime.isoformat() == "2026-05-04T10:00:00+00:00"
    other = source_of("sftp://b/a.jpg", {"size": 3, "mtime": 1e9})
    assert other.etag is None
    assert other.mtime is not None
    assert other.mtime.timestamp() == 1e9


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    place = place_of(str(tmp_path / "new"))
    write_whole(place, "part.parquet", b"whole", Pauses(1, 0.1))
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "new").iterdir()] == [
        ("part.parquet", b"whole")
    ]


def test_a_full_disk_leaves_no_half_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("maclip_daemon.archive.whole_files.os.fsync", full)
    with pytest.raises(NoSpace, match=r"disk of .* is full"):
        write_whole(place_of(str(tmp_path)), "part.parquet", b"whole", Pauses(3, 0.01))
    assert list(tmp_path.iterdir()) == []


def test_storage_that_shows_halves_gets_a_new_name_first() -> None:
    import fsspec

    class Remote(type(fsspec.filesystem("memory"))):  # type: ignore[misc]
        protocol = ("sftp",)

    remote = Remote()
    remote.store.clear()
    seen: list[str] = []
    put = remote.pipe_file
    remote.pipe_file = lambda path, value, **more: (seen.append(path), put(path, value, **more))
    write_whole(Place(remote, "/out"), "part.parquet", b"whole", Pauses(1, 0.1))
    assert seen[0].startswith("/out/.part.parquet-")
    assert remote.find("/out") == ["/out/part.parquet"]
    remote.store.clear()


@pytest.mark.parametrize("end", ["", "/"])
def test_an_address_keeps_the_host_that_its_path_does_not_tell(
    end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = fsspec.filesystem("memory", skip_instance_cache=True)
    monkeypatch.setattr(server, "host", "studio", raising=False)
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda _address: (server, f"/photos{end}"))
    place = place_of(f"sftp://me@studio:2222/photos{end}")
    assert address_of_path(place, "/photos/a.jpg") == "sftp://me@studio:2222/photos/a.jpg"
    assert address_of_path(place.folder("2026"), "/photos/2026/a.jpg").startswith("sftp://me@studio:2222/")


@pytest.mark.parametrize("kind", ["az", "abfs"])
def test_an_address_keeps_the_kind_that_was_typed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage_of_two_names = fsspec.filesystem("memory", skip_instance_cache=True)
    monkeypatch.setattr(storage_of_two_names, "protocol", ("abfs", "az"), raising=False)
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda _address: (storage_of_two_names, "studio/in"))
    assert address_of_path(place_of(f"{kind}://studio/in/"), "studio/in/a.jpg") == f"{kind}://studio/in/a.jpg"


@pytest.mark.parametrize(
    ("address", "package"),
    [("gs://studio", "gcsfs"), ("az://studio", "adlfs"), ("sftp://me@studio/photos", "paramiko")],
)
def test_a_package_that_is_missing_is_named(
    address: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gcsfs", "adlfs", "paramiko", "fsspec.implementations.sftp"):
        monkeypatch.setitem(sys.modules, module, None)
    told = f"{address} needs another package for this kind of address: pip install {package}."
    with pytest.raises(EnvironmentUnfit) as caught, readable(address):
        place_of(address)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("address", "error", "told"),
    [
        ("sftp://me@studio/in", PermissionError("library text"), "may not be read with these credentials."),
        ("sftp://me@studio/in", ConnectionRefusedError(111, "library text"), "cannot be reached now."),
        ("sftp://me@studio/in", OSError("library text"), "cannot be reached now."),
        ("/mnt/in", OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error."),
    ],
)
def test_an_address_that_cannot_be_read_is_one_sentence(address: str, error: OSError, told: str) -> None:
    with pytest.raises(EnvironmentUnfit) as caught, readable(address):
        raise error
    assert str(caught.value).startswith(f"{address} {told}")
    assert "library text" not in str(caught.value)


class Bucket(MemoryFileSystem):
    """Lists an object and a folder of one name, as object storage may hold them."""

    def ls(self, path: str, detail: bool = True, **_options: object) -> list[dict[str, object]]:
        found = {
            "/b": [("/b/d", "directory"), ("/b/d", "file"), ("/b/x.jpg/", "directory"), ("/b/x.jpg", "file")],
            "/b/d": [("/b/d/", "file"), ("/b/d/1.jpg", "file")],
            "/b/x.jpg": [("/b/x.jpg/t.jpg", "file")],
        }[path]
        assert detail
        return [{"name": name, "type": kind} for name, kind in found]


def test_an_object_may_have_the_name_of_a_folder() -> None:
    assert names_below(Bucket(), "/b") == ["/b/d", "/b/d/1.jpg", "/b/x.jpg", "/b/x.jpg/t.jpg"]
