from __future__ import annotations

import os
from pathlib import Path

import pytest

from maclip_daemon.files.paths import expanded, is_below, printable, printable_utf8, relative_to, with_path


@pytest.mark.parametrize(
    ("path", "folder", "below"),
    [
        ("/photos/a.jpg", "/photos", True),
        ("/photos/2026/a.jpg", "/photos/", True),
        ("/photos", "/photos", True),
        ("/photos", "/", True),
        ("/photos-old/a.jpg", "/photos", False),
        ("/", "/photos", False),
    ],
)
def test_only_what_lies_in_a_folder_is_below_it(path: str, folder: str, below: bool) -> None:
    assert is_below(path, folder) is below


def test_the_part_below_a_root_has_no_slash_at_its_ends() -> None:
    assert relative_to("/photos", "/photos/2026/a.jpg") == "2026/a.jpg"
    assert relative_to("/photos/", "/photos") == ""


def test_a_name_is_printed_on_one_line_with_the_bytes_it_has() -> None:
    name = os.fsdecode(b"caf\xe9\n\x1b[31m.jpg")
    assert printable(name) == "caf\udce9\\n\\x1b[31m.jpg"
    assert printable_utf8(Path(name)) == r"caf\udce9\n\x1b[31m.jpg"


def test_a_leading_tilde_that_is_nobodys_home_is_part_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert expanded("~/photos") == Path("/home/me/photos")
    assert expanded("~nobody-has-this-name.jpg") == Path("~nobody-has-this-name.jpg")


def test_a_sentence_about_a_file_names_its_path_once() -> None:
    assert with_path("/p/a.jpg", "it is empty.") == "/p/a.jpg: it is empty."
    assert with_path("/p/a.jpg", "/p/a.jpg.xmp is empty.") == "/p/a.jpg.xmp is empty."
    assert with_path(Path("/p/a.jpg"), "/p/a.jpg is empty.") == "/p/a.jpg is empty."
