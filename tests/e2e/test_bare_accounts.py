"""Accounts without a home folder, and terminals that know few characters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.homes import Home, make_photo

NOBODY = 61_234  # a user id without an entry in passwd


def maclip(environment: dict[str, str], *arguments: str, user: int | None = None) -> tuple[int, bytes, bytes]:
    ended = subprocess.run(
        [sys.executable, "-m", "maclip_daemon", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **environment},
        capture_output=True,
        timeout=120,
        check=False,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    assert b"Traceback" not in ended.stderr, ended.stderr.decode()
    return ended.returncode, ended.stdout, ended.stderr


def test_an_account_without_a_home_is_told_so_or_works_with_folders_of_its_own(tmp_path: Path) -> None:
    try:
        code, _, errors = maclip({}, "status", user=NOBODY)
    except PermissionError:
        pytest.skip("needs root rights, and an interpreter that every user may run")
    assert code == 3
    assert b"There is no library at /nonexistent/.local/share/maclip/library.db yet." in errors

    code, _, errors = maclip({}, "--data-dir", str(tmp_path / "data"), "status", user=NOBODY)
    assert code == 3
    assert f"There is no library at {tmp_path / 'data' / 'library.db'} yet.".encode() in errors


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"Tag \\xe4 \xe4.jpg"),  # escaped; the byte of a name that is no UTF-8 as it is
        ("latin-1", b"Tag \xe4 \xe4.jpg"),
        ("utf-8", b"Tag \xc3\xa4 \xe4.jpg"),
    ],
)
def test_a_name_that_the_terminal_cannot_show_stops_nothing(home: Home, encoding: str, shown: bytes) -> None:
    photo = home.photos / os.fsdecode(b"Tag \xc3\xa4 \xe4.jpg")
    make_photo(home.photos / "plain.jpg").rename(photo)
    environment = home.environment | {"PYTHONIOENCODING": encoding, "COLUMNS": "400"}
    code, output, _ = maclip(environment, "score", str(photo))
    assert code == 0
    assert shown in output
