"""What another program writes into a file in the moment of its replacement is never lost."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maclip_daemon.errors import FileChanged
from maclip_daemon.files import exchange, linux_calls, temporaries
from maclip_daemon.files.open_folder import OpenFolder
from maclip_daemon.files.safe_writer import digest

OLD, NEW, EDIT = b"<old/>", b"<new/>", b"<a person's edit/>"


@pytest.fixture(params=["exchange", "second names", "neither"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the file system know fewer operations."""
    if request.param != "exchange":
        monkeypatch.setattr(OpenFolder, "exchange", lambda *_: False)
    if request.param == "neither":

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(OpenFolder, "link", refuse)
    return str(request.param)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "IMG.jpg.xmp").write_bytes(OLD)
    (tmp_path / "temporary").write_bytes(NEW)
    return tmp_path / "IMG.jpg.xmp"


def replace(target: Path, meanwhile: Callable[[], object] = lambda: None) -> None:
    with OpenFolder(target.parent) as folder:
        former = exchange.replace(folder, "temporary", target.name, expected=digest(OLD), new=digest(NEW))
        if former is not None:
            meanwhile()
            exchange.settle(folder, former)


def everything_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit_in_place(target: Path) -> None:
    target.write_bytes(EDIT)


def edit_by_rename(target: Path) -> None:
    target.with_name("theirs").write_bytes(EDIT)
    target.with_name("theirs").replace(target)


@pytest.mark.usefixtures("kind")
def test_an_unchanged_file_is_replaced_and_nothing_else_is_left(target: Path) -> None:
    replace(target)
    assert everything_in(target.parent) == {target.name: NEW}


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("edit", [edit_in_place, edit_by_rename, Path.unlink])
def test_a_file_that_was_changed_before_stays_as_it_is(target: Path, edit: Callable[[Path], None]) -> None:
    edit(target)
    before = everything_in(target.parent)
    with pytest.raises(FileChanged):
        replace(target)
    del before["temporary"]
    assert everything_in(target.parent) == before


@pytest.mark.parametrize("edit", [edit_in_place, edit_by_rename])
def test_an_edit_in_the_last_moment_is_put_back(
    target: Path, edit: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = OpenFolder.exchange
    calls: list[None] = []

    def exchanged(folder: OpenFolder, one: str, other: str) -> bool:
        if not calls:
            edit(target)
        calls.append(None)
        return real(folder, one, other)

    monkeypatch.setattr(OpenFolder, "exchange", exchanged)
    with pytest.raises(FileChanged):
        replace(target)
    assert everything_in(target.parent) == {target.name: EDIT}


def test_a_program_that_is_still_writing_keeps_its_file(target: Path) -> None:
    with target.open("r+b") as theirs:  # as an editor that does not truncate: nothing has changed yet
        with pytest.raises(FileChanged):
            replace(target)
        theirs.write(EDIT)
    assert everything_in(target.parent) == {target.name: EDIT}


def test_a_file_server_that_cannot_tell_who_writes_stops_no_writing(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and SMB refuse a lease as if somebody wrote, where the server delegates nothing."""
    monkeypatch.setattr(linux_calls, "is_on_file_server", lambda _: True)
    with target.open("r+b"):
        replace(target)
    assert everything_in(target.parent) == {target.name: NEW}


def test_a_local_file_is_on_no_file_server(target: Path) -> None:
    with target.open("rb") as file:
        assert not linux_calls.is_on_file_server(file.fileno())


def test_without_an_exchange_an_edit_in_place_is_put_back(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenFolder, "exchange", lambda *_: False)
    real = OpenFolder.link

    def linked(folder: OpenFolder, old: str, new: str) -> None:
        real(folder, old, new)
        edit_in_place(target)

    monkeypatch.setattr(OpenFolder, "link", linked)
    with pytest.raises(FileChanged):
        replace(target)
    assert everything_in(target.parent) == {target.name: EDIT}


def test_two_edits_in_the_same_moment_are_both_kept(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OpenFolder.exchange
    edits = iter([EDIT, b"<a newer edit/>"])

    def exchanged(folder: OpenFolder, one: str, other: str) -> bool:
        if (edit := next(edits, None)) is not None:
            target.write_bytes(edit)
        return real(folder, one, other)

    monkeypatch.setattr(OpenFolder, "exchange", exchanged)
    with pytest.raises(FileChanged):
        replace(target)
    found = everything_in(target.parent)
    assert found.pop(target.name) == b"<a newer edit/>"
    ((name, content),) = found.items()
    assert content == EDIT
    assert name.startswith(f"{target.name}.kept-"), "a name that a person sees"


def test_a_file_that_was_edited_is_not_removed(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = OpenFolder.rename

    def renamed(folder: OpenFolder, old: str, new: str) -> None:
        edit_in_place(target)
        real(folder, old, new)

    monkeypatch.setattr(OpenFolder, "rename", renamed)
    target.with_name("temporary").unlink()
    with pytest.raises(FileChanged), OpenFolder(target.parent) as folder:
        exchange.remove(folder, target.name, expected=digest(OLD))
    assert everything_in(target.parent) == {target.name: EDIT}
    monkeypatch.undo()
    with OpenFolder(target.parent) as folder:
        exchange.settle(folder, exchange.remove(folder, target.name, expected=digest(EDIT)))
    assert everything_in(target.parent) == {}


class SlowEditor:
    """Has found a file by its name, and opens it only when it is told to."""

    def __init__(self, path: Path) -> None:
        self.found = os.open(path, os.O_PATH)

    def write(self) -> None:
        Path(f"/proc/self/fd/{self.found}").write_bytes(EDIT)
        os.close(self.found)


needs_path_descriptors = pytest.mark.skipif(
    not hasattr(os, "O_PATH"), reason="only Linux opens a file for its name alone (O_PATH)"
)


@needs_path_descriptors
@pytest.mark.parametrize("kind", ["exchange", "second names"], indirect=True)
def test_an_editor_that_found_the_old_file_and_opens_it_after_the_exchange_loses_nothing(
    target: Path, kind: str
) -> None:
    with pytest.raises(FileChanged):
        replace(target, SlowEditor(target).write)
    assert everything_in(target.parent) == {target.name: EDIT}, kind


@needs_path_descriptors
def test_an_editor_that_opens_the_file_only_after_it_lost_its_name_loses_nothing(target: Path) -> None:
    target.with_name("temporary").unlink()
    slow = SlowEditor(target)
    with OpenFolder(target.parent) as folder:
        former = exchange.remove(folder, target.name, expected=digest(OLD))
        slow.write()
        with pytest.raises(FileChanged):
            exchange.settle(folder, former)
    assert everything_in(target.parent) == {target.name: EDIT}


@pytest.fixture(params=["IMG.jpg.xmp", "x" * 240 + ".jpg.xmp"], ids=["short name", "long name"])
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("present", "aside", "left"),
    [
        (NEW, OLD, NEW),  # killed after the exchange
        (OLD, NEW, OLD),  # killed before it, or after ours was taken out again
        (NEW, EDIT, EDIT),  # an edit had come out
        (None, EDIT, EDIT),  # and ours was removed since
        (None, NEW, None),  # an undo was about to remove it
        (OLD, OLD, OLD),
    ],
)
def test_after_a_kill_an_edit_is_put_back_and_nothing_of_ours_is_left_aside(
    tmp_path: Path, name: str, present: bytes | None, aside: bytes, left: bytes | None
) -> None:
    target = tmp_path / name
    if present is not None:
        target.write_bytes(present)
    (tmp_path / temporaries.new_aside(name)).write_bytes(aside)
    known = {digest(OLD), digest(NEW)}
    for late_s in (0, 5):  # who looks may have taken the time before the exchange began
        assert exchange.recover(target, known, time.time() - late_s) == [], "it may be running"
    assert len(everything_in(tmp_path)) == 1 + (present is not None)
    exchange.recover(target, known, time.time(), is_dead=True)
    assert everything_in(tmp_path) == ({} if left is None else {name: left})


def test_after_a_kill_a_newer_edit_stays_and_the_older_one_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "IMG.jpg.xmp"
    target.write_bytes(b"<a newer edit/>")
    (tmp_path / temporaries.new_aside(target.name)).write_bytes(EDIT)
    (sentence,) = exchange.recover(target, {digest(OLD), digest(NEW)}, time.time() + 61)
    found = everything_in(tmp_path)
    assert found.pop(target.name) == b"<a newer edit/>"
    assert list(found.values()) == [EDIT]
    assert next(iter(found)) in sentence


def test_links_are_not_followed_into_other_folders(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "private")
    with pytest.raises(FileChanged, match="symbolic link"):
        OpenFolder(tmp_path / "link")
    with OpenFolder(tmp_path / "private") as folder:
        (tmp_path / "private").rename(tmp_path / "moved")
        os.close(folder.open("x", os.O_WRONLY | os.O_CREAT))
    assert [path.name for path in (tmp_path / "moved").iterdir()] == ["x"], "whatever has its name now"
