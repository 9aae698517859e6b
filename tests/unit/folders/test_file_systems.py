import sys
from pathlib import Path

import pytest

from maclip_daemon.folders.file_systems import (
    Mount,
    file_system_of,
    is_polled,
    mounts_around,
    parse_mountinfo,
    polled_folders,
)


@pytest.mark.parametrize(
    "file_system",
    ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.rclone", "fuse", "9p", "virtiofs", "afs", "ceph"],
)
def test_network_and_fuse_file_systems_are_polled(file_system: str) -> None:
    assert is_polled(file_system)


@pytest.mark.parametrize(
    "file_system", ["ext4", "btrfs", "xfs", "zfs", "overlay", "tmpfs", "fuseblk", "apfs", ""]
)
def test_local_file_systems_are_watched(file_system: str) -> None:
    assert not is_polled(file_system)


def test_mountinfo_is_read_with_its_escapes_and_optional_fields() -> None:
    content = (
        b"22 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw\n"
        b"40 22 0:44 / /mnt/my\\040photos\\134x rw - nfs4 nas:/p rw\n"
        b"a line that is none\n"
        b"41 22 0:45 / /mnt/\xff rw shared:3 - fuse.sshfs a@b: rw\n"
    )
    assert parse_mountinfo(content) == [
        ("/", "ext4", b"22 254:0 /"),
        ("/mnt/my photos\\x", "nfs4", b"40 0:44 /"),
        ("/mnt/\udcff", "fuse.sshfs", b"41 0:45 /"),
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_innermost_mount_decides() -> None:
    assert file_system_of("/proc/self") == "proc"
    assert file_system_of("/") not in {"", "proc"}


def test_this_folder_lies_on_a_known_file_system(tmp_path: Path) -> None:
    assert file_system_of(str(tmp_path))


def test_shares_below_a_local_folder_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = [
        Mount("/", "ext4"),
        Mount("/home/me/Pictures/nas", "nfs4"),
        Mount("/home/me/Pictures2", "cifs"),
        Mount("/mnt", "nfs4"),
    ]
    monkeypatch.setattr("maclip_daemon.folders.file_systems._mounts", lambda: mounts)
    assert polled_folders("/home/me/Pictures") == ["/home/me/Pictures/nas"]
    assert polled_folders("/home/me/Pictures/nas/2026") == ["/home/me/Pictures/nas/2026"]
    assert polled_folders("/mnt") == ["/mnt"]
    assert polled_folders("/srv") == []


def test_mounts_above_and_below_a_folder_are_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    points = ["/", "/home", "/home/me/Pictures", "/home/me/Pictures/card", "/home/me/Pictures2", "/mnt"]
    mounts = [Mount(point, "ext4") for point in points]
    monkeypatch.setattr("maclip_daemon.folders.file_systems._mounts", lambda: mounts)
    assert mounts_around(["/home/me/Pictures"]) == {"/home/me/Pictures": mounts[:4]}
