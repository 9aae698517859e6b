"""Whose files are trusted."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from maclip_daemon.errors import EnvironmentUnfit
from maclip_daemon.files.permissions import require_private

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such permissions here")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o400, 0o755])
def test_a_file_that_only_its_owner_may_write_is_trusted(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "config.toml"
    file.touch()
    file.chmod(mode)
    require_private(file)


def test_a_missing_file_needs_no_permissions(tmp_path: Path) -> None:
    require_private(tmp_path / "nowhere" / "config.toml")


@pytest.mark.parametrize("mode", [0o602, 0o666, 0o1777])
def test_a_world_writable_file_is_refused_with_a_remedy_that_works(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    folder.chmod(mode | 0o700)
    with pytest.raises(EnvironmentUnfit, match="may be changed by everybody") as refused:
        require_private(folder)
    subprocess.run(["sh", "-c", str(refused.value).split("`")[1]], check=True)
    require_private(folder)


@as_root
def test_a_group_is_trusted_only_when_it_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.touch()
    file.chmod(0o664)
    require_private(file)  # root's own group
    for group in (65534, 54321):  # somebody else's, and one that has no name
        os.chown(file, -1, group)
        with pytest.raises(EnvironmentUnfit, match="may be changed by the group"):
            require_private(file)


@as_root
def test_a_file_of_another_user_is_refused_by_all_but_root() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        file = Path(folder) / "config.toml"
        file.touch()
        os.chown(file, 54321, 54321)
        require_private(file)
        os.seteuid(54322)
        try:
            with pytest.raises(EnvironmentUnfit, match=r"belongs to another user \(54321\)"):
                require_private(file)
        finally:
            os.seteuid(0)
