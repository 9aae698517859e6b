import ctypes
import mmap
import os
import sys
from pathlib import Path

import pytest

from maclip_daemon.errors import EnvironmentUnfit, RootOffline, UsageError
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.root_health import (
    Root,
    RootFacts,
    RootState,
    check,
    merge,
    open_root,
    read_failure,
)


def test_a_link_given_as_root_is_resolved(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    assert open_root(tmp_path / "link") == Root(str((tmp_path / "photos").resolve()))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RootOffline, match="nowhere does not exist"):
        open_root(tmp_path / "nowhere")


def test_a_file_given_as_folder_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    with pytest.raises(UsageError, match=r"a\.jpg is a file"):
        open_root(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match="is not a folder"):
        open_root(tmp_path / "a.jpg" / "below")


def test_links_in_a_circle_are_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(RootOffline, match="cannot be reached"):
        open_root(tmp_path / "a")


def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    if os.access(tmp_path / "locked", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(EnvironmentUnfit, match="no permission to read"):
        open_root(tmp_path / "locked")
    assert check(Root(str(tmp_path / "locked")), None, 0).state is RootState.UNREADABLE


def test_a_root_inside_another_is_walked_with_it() -> None:
    roots = [
        Root("/p/2026"),
        Root("/p"),
        Root("/photos"),
        Root("/p"),
        Root("/p/.private/x"),
        Root("/p/.private"),
    ]
    assert merge(roots, Exclusion()) == [Root("/p"), Root("/p/.private"), Root("/photos")]


def test_everything_lies_inside_the_root_folder() -> None:
    assert merge([Root("/a"), Root("/")], Exclusion()) == [Root("/")]


def test_a_folder_with_photos_is_healthy(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    health = check(Root(str(tmp_path)), None, 1)
    assert health.state is RootState.HEALTHY
    assert health.reason == ""
    assert health.facts == RootFacts(tmp_path.stat().st_dev)
    assert health.file_system


def test_a_new_empty_folder_is_healthy(tmp_path: Path) -> None:
    assert check(Root(str(tmp_path)), None, 0).state is RootState.HEALTHY


def test_a_folder_that_is_gone_pauses(tmp_path: Path) -> None:
    health = check(Root(str(tmp_path / "gone")), None, 3)
    assert health.state is RootState.GONE
    assert "nothing is forgotten" in health.reason
    assert health.facts is None


def test_a_file_in_the_place_of_the_root_is_not_the_root(tmp_path: Path) -> None:
    (tmp_path / "photos").write_bytes(b"x")
    assert check(Root(str(tmp_path / "photos")), None, 3).state is RootState.GONE


def test_a_suddenly_empty_folder_pauses_even_with_leftovers_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    (tmp_path / ".Trash-1000").mkdir()
    (tmp_path / ".directory").write_bytes(b"x")
    health = check(Root(str(tmp_path)), None, 12)
    assert health.state is RootState.EMPTIED
    assert "12 photos" in health.reason


def test_another_device_pauses_unless_the_known_photos_are_there(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"x")
    before = RootFacts(tmp_path.stat().st_dev + 1)
    root, there, gone = Root(str(tmp_path)), str(tmp_path / "1.jpg"), str(tmp_path / "2.jpg")
    assert check(root, before, 2).state is RootState.REPLACED
    assert check(root, before, 2, [gone, gone, there]).state is RootState.REPLACED
    assert check(root, before, 2, [there, gone]).state is RootState.HEALTHY
    assert check(root, before, 0).state is RootState.HEALTHY


def test_a_readable_file_shows_that_the_disk_works(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    assert read_failure([str(tmp_path / "a")]) == ""
    assert read_failure([]) == ""


def test_missing_files_and_folders_are_no_failure_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert read_failure([str(tmp_path / "gone"), str(tmp_path / "folder")]) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="a file whose reading always fails is one of /proc")
def test_input_output_errors_are_the_disks_unless_another_file_is_readable(tmp_path: Path) -> None:
    broken = "/proc/self/mem"  # its first page is mapped nowhere: EIO
    assert read_failure([broken]) == "Input/output error"
    (tmp_path / "a").write_bytes(b"x")
    assert read_failure([broken, str(tmp_path / "a")]) == ""
    assert read_failure([*[broken] * 3, str(tmp_path / "a")]) == "Input/output error", (
        "it does not try for ever"
    )


def is_cached(path: Path) -> bool:
    """Return whether the first page of a file is in the page cache: mincore(2)."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        first = ctypes.c_char.from_buffer(pages)
        found = (ctypes.c_ubyte * (len(pages) // mmap.PAGESIZE + 1))()
        address, length = ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(len(pages))
        assert ctypes.CDLL(None).mincore(address, length, found) == 0
        del first
    return bool(found[0] & 1)


@pytest.mark.skipif(sys.platform != "linux", reason="the page cache is looked at as Linux has it")
def test_a_photo_that_was_just_imported_is_read_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages lie in large pieces in the cache, which would hide that the disk is gone."""
    small = tmp_path / "small.jpg"
    with small.open("w+b") as file:
        file.write(bytes(mmap.PAGESIZE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(small):
        pytest.skip("this file system is in memory alone")
    photo = tmp_path / "a.jpg"
    with photo.open("wb") as file:
        for _ in range(8):
            file.write(bytes(1 << 20))
        os.fsync(file.fileno())
    assert is_cached(photo)
    cached: list[bool] = []
    read = os.read
    monkeypatch.setattr(os, "read", lambda *arguments: cached.append(is_cached(photo)) or read(*arguments))
    assert read_failure([str(photo)]) == ""
    assert cached == [False]
