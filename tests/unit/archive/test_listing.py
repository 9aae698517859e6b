"""What `maclip archive` takes as a source."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from maclip_daemon.archive.planning.listing import local_path, photos_of
from maclip_daemon.errors import EnvironmentUnfit, UsageError
from tests.homes import make_photo


def test_a_folder_gives_its_photos_with_size_and_time(tmp_path: Path) -> None:
    photo = make_photo(tmp_path / "sub" / "a.jpg")
    (tmp_path / "notes.txt").write_text("no photo")
    make_photo(tmp_path / "@eaDir" / "thumb.jpg")
    (found,) = photos_of(str(tmp_path))
    assert found.address == str(photo)
    assert found.size == photo.stat().st_size
    assert found.mtime is not None
    assert found.mtime.timestamp() == pytest.approx(photo.stat().st_mtime, abs=1e-6)


def test_a_list_has_one_path_a_line(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_bytes(b"/photos/a b.jpg\r\n\ns3://bucket/c.jpg\n/odd/\xff.jpg")
    addresses = [photo.address for photo in photos_of(str(listed))]
    assert addresses == ["/photos/a b.jpg", "s3://bucket/c.jpg", "/odd/\udcff.jpg"]


def test_a_list_ended_by_nul_has_names_with_newlines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"/a\nb.jpg\0/c.jpg\0")))
    assert [photo.address for photo in photos_of("-")] == ["/a\nb.jpg", "/c.jpg"]


def test_a_table_gives_its_column_of_addresses(tmp_path: Path) -> None:
    table = tmp_path / "photos.parquet"
    pq.write_table(pa.table({"id": [1, 2], "url": ["s3://b/1.jpg", None], "note": ["x", "y"]}), table)
    assert [photo.address for photo in photos_of(str(table))] == ["s3://b/1.jpg"]
    assert [photo.address for photo in photos_of(str(table), column="note")] == [
        os.path.abspath("x"),
        os.path.abspath("y"),
    ]
    with pytest.raises(UsageError, match=r"no column name of text.*url, note"):
        list(photos_of(str(table), column="name"))


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    table = tmp_path / "photos.parquet"
    table.write_text("no table")
    with pytest.raises(UsageError, match="no Parquet table"):
        list(photos_of(str(table)))


def test_a_source_that_is_not_there_is_a_wrong_command(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing at"):
        list(photos_of(str(tmp_path / "none")))


def test_a_bucket_gives_its_photos_without_other_programs_folders() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for name in ("/bucket/a.jpg", "/bucket/deep/b.cr2", "/bucket/@eaDir/c.jpg", "/bucket/d.txt"):
        memory.pipe_file(name, b"x" * 7)
    found = {photo.address: photo.size for photo in photos_of("memory://bucket")}
    memory.store.clear()
    assert found == {"memory:///bucket/a.jpg": 7, "memory:///bucket/deep/b.cr2": 7}


def test_a_folder_of_a_bucket_that_cannot_be_listed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = MemoryFileSystem()
    bucket.pipe({f"/half/2024/{name}/1.jpg": b"x" for name in "abc"})
    ls = MemoryFileSystem.ls

    def slow_down(self: MemoryFileSystem, path: str, **options: object) -> object:
        if path.endswith("2024/b"):
            raise OSError(16, "SlowDown")
        return ls(self, path, **options)

    monkeypatch.setattr(MemoryFileSystem, "ls", slow_down)
    with pytest.raises(EnvironmentUnfit, match="memory://half"):
        list(photos_of("memory://half/2024"))


@pytest.mark.parametrize(
    ("address", "path"),
    [("/a/b.jpg", "/a/b.jpg"), ("file:///a%20b/%FF.jpg", "/a b/\udcff.jpg"), ("s3://b/a%20b.jpg", None)],
)
def test_only_addresses_of_this_machine_have_a_path(address: str, path: str | None) -> None:
    assert local_path(address) == path
