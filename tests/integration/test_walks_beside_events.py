"""Folders that move while a walk over them is under way: the walk comes to a place before the event does."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maclip_daemon.folders.events import EventKind
from tests.watch_listener import DEADLINE_S, Listener, is_photo, put, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these tests are about inotify")

RENAME_EXCHANGE = 2  # renameat2(2)
AT_FDCWD = -100
NAMES = [f"{letter}{number}" for letter in "ap" for number in range(4)]  # a walk's order is that of a set


class HeldWalk:
    """A walk over the folders that stands still once it has listed the root's."""

    def __init__(self, root: Path) -> None:
        put(root / "held")
        self.walked, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self.listener = Listener(root, is_watched=self.is_watched)

    def is_watched(self, name: str) -> bool:
        if name == "held":
            self.walked.set()
            self.gate.wait(DEADLINE_S)
        return is_photo(name)

    def close(self) -> None:
        self.gate.set()
        self.listener.close()

    @contextlib.contextmanager
    def meanwhile(self) -> Iterator[None]:
        self.walked.clear()
        self.gate.clear()
        walk = threading.Thread(target=self.listener.watcher.coverage)
        walk.start()
        try:
            assert self.walked.wait(DEADLINE_S)
            yield
        finally:
            self.gate.set()
            walk.join(DEADLINE_S)


@pytest.fixture
def held_walk_over(root: Path) -> Iterator[Callable[..., HeldWalk]]:
    """Return a function that makes folders with a photo each, and watches them."""
    with contextlib.ExitStack() as closing:

        def watch(*folders: str) -> HeldWalk:
            for folder in folders:
                put(root / folder / "1.jpg")
            return closing.enter_context(contextlib.closing(HeldWalk(root)))

        yield watch


@pytest.fixture
def held_walk(held_walk_over: Callable[..., HeldWalk]) -> HeldWalk:
    return held_walk_over("a", "x/y", ".hidden")


@pytest.mark.parametrize("place", [".hidden/a", "../outside", None])
def test_a_folder_that_leaves_while_the_folders_are_walked_is_gone(
    held_walk: HeldWalk, root: Path, place: str | None
) -> None:
    with held_walk.meanwhile():
        if place is None:
            shutil.rmtree(root / "a")
        else:
            (root / "a").rename(root / place)
    until(lambda: held_walk.listener.reported(EventKind.FOLDER_GONE, root / "a"))


@pytest.mark.parametrize("place", ["b", "x/a", "x/y/a"])
def test_a_folder_renamed_while_the_folders_are_walked_has_moved(
    held_walk: HeldWalk, root: Path, place: str
) -> None:
    listener = held_walk.listener
    with held_walk.meanwhile():
        (root / "a").rename(root / place)
    until(lambda: listener.reported(EventKind.FOLDER_MOVED, root / "a", root / place))
    assert str(root / place / "1.jpg") in listener.found()
    later = put(root / place / "later.jpg")
    until(lambda: listener.reported(EventKind.FILE_CHANGED, later))
    coverage = listener.watcher.coverage()
    assert (coverage.folders, coverage.watched, listener.watches) == (4, 4, 4)


@pytest.mark.parametrize("place", ["x/new", "x/y/new"])
def test_a_folder_that_arrives_while_the_folders_are_walked_is_searched(
    held_walk: HeldWalk, root: Path, tmp_path: Path, place: str
) -> None:
    put(tmp_path / "new/deep/1.jpg")
    with held_walk.meanwhile():
        (tmp_path / "new").rename(root / place)
    until(lambda: str(root / place / "deep/1.jpg") in held_walk.listener.found())


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_whose_parent_leaves_too_is_found_where_it_went(
    held_walk_over: Callable[..., HeldWalk], root: Path, name: str
) -> None:
    held_walk = held_walk_over(f"{name}/q", "r")
    with held_walk.meanwhile():
        (root / name / "q").rename(root / "r/q")
        (root / name).rmdir()
    listener = held_walk.listener
    until(lambda: str(root / "r/q/1.jpg") in listener.found())
    listener.settle()
    assert listener.watches_folder(root / "r/q")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_comes_back_elsewhere_is_found_there(
    held_walk_over: Callable[..., HeldWalk], root: Path, tmp_path: Path, name: str
) -> None:
    held_walk = held_walk_over(name, "r")
    with held_walk.meanwhile():
        (root / name).rename(tmp_path / "out")
        (tmp_path / "out").rename(root / "r/back")
    listener = held_walk.listener
    until(lambda: str(root / "r/back/1.jpg") in listener.found())
    until(lambda: listener.reported(EventKind.FOLDER_GONE, root / name))
    listener.settle()
    assert listener.watches_folder(root / "r/back")


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_goes_into_the_one_that_takes_its_name_is_followed(
    held_walk_over: Callable[..., HeldWalk], root: Path, name: str
) -> None:
    first, second = root / name, root / "t"
    held_walk = held_walk_over(name, "t")
    with held_walk.meanwhile():
        first.rename(second / "x")
        second.rename(first)
        (first / "x").rename(first / "y")
    listener = held_walk.listener
    until(lambda: str(first / "y/1.jpg") in listener.found())
    listener.settle()
    assert listener.watches_folder(first / "y")
    assert listener.watches_folder(first)


@pytest.mark.parametrize("place", ["../outside", ".hidden/a", "new/a"])
def test_a_folder_made_anew_at_once_where_one_left_is_watched(
    held_walk_over: Callable[..., HeldWalk], root: Path, place: str
) -> None:
    listener = held_walk_over("a", ".hidden").listener
    if place == "new/a":  # it has no watch yet
        (root / "new").mkdir()
    (root / "a").rename(root / place)
    put(root / "a/2.jpg")
    until(lambda: str(root / "a/2.jpg") in listener.found())
    listener.settle()
    assert listener.watches_folder(root / "a")


def test_folders_that_swap_their_names_in_one_step_stay_watched(
    held_walk_over: Callable[..., HeldWalk], root: Path
) -> None:
    listener = held_walk_over("a", "b").listener
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(root / "a"), os.fsencode(root / "b")
    if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
        pytest.skip(f"this file system exchanges no names: {os.strerror(ctypes.get_errno())}")
    until(lambda: listener.reported(EventKind.FOLDER_MOVED, root / "b", root / "a"))
    listener.settle()
    assert listener.watches_folder(root / "a")
    assert listener.watches_folder(root / "b")


@pytest.mark.parametrize("place", ["b", ".hidden/a"])
def test_a_link_in_the_place_of_a_folder_that_moved_is_not_entered(
    held_walk: HeldWalk, root: Path, place: str
) -> None:
    listener = held_walk.listener
    (root / "a/1.jpg").rename(root / "a/held")  # a walk that has seen a photo looks at no other file
    listener.flush()
    held_walk.walked.clear()
    held_walk.gate.clear()
    (root / "a").rename(root / place)
    if place == "b":  # the moved folder is walked
        assert held_walk.walked.wait(DEADLINE_S)
    (root / "a").symlink_to(root / place)
    held_walk.gate.set()
    listener.settle()
    assert not listener.reported(EventKind.RESCAN, root / "a")
    assert listener.reported(EventKind.FOLDER_GONE, root / "a") == (place != "b")
    if place == "b":
        assert listener.watches_folder(root / "b")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_done_to_folders_all_are_watched_in_the_end(
    listener: Listener, root: Path, tmp_path: Path, seed: int
) -> None:
    """Folders are made, renamed, swapped, moved out and in, and deleted, beside walks without end."""
    chance = random.Random(seed)
    ended = threading.Event()

    def walk() -> None:
        while not ended.wait(0.001):
            listener.watcher.coverage()

    walks = threading.Thread(target=walk)
    walks.start()
    names = ["a", "b", "c", ".hidden"]
    try:
        for number in range(200):
            folders = [root, *(path for path in root.rglob("*") if path.is_dir()), tmp_path]
            one, other = chance.choice(folders) / chance.choice(names), chance.choice(folders)
            with contextlib.suppress(OSError):
                match chance.randrange(5):
                    case 0 | 1:
                        one.rename(other / chance.choice(names))
                    case 2 if number % 4 == 0 and one.is_relative_to(root):
                        shutil.rmtree(one)
                    case _:
                        put(one / f"{number}.jpg")
    finally:
        ended.set()
        walks.join(DEADLINE_S)
    wanted = {
        path for path in root.rglob("*") if path.is_dir() and ".hidden" not in path.relative_to(root).parts
    }
    photos = {str(photo) for folder in wanted for photo in folder.glob("*.jpg")}
    until(lambda: listener.found() >= photos, "every photo")
    listener.settle()
    for folder in sorted(wanted):
        assert listener.watches_folder(folder), folder
    until(lambda: listener.watches == len(wanted) + 1, "no other watch")
