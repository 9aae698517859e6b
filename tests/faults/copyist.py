"""Somebody who brings photos in every way in which they are not whole for a while, and a witness."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.homes import Home, make_photo, until

SETTLE_S = 1.0
PIECES = 6
PAUSE_S = 0.25  # between two pieces: far below the quiet period, so that a busy machine does not reach it
LOOK_S = 0.03


@dataclass
class Arrival:
    """A file on its way: where it ends, and every whole state that it was in for long enough to be scored."""

    path: Path
    states: list[bytes]
    """Empty: it must never be scored."""


class Witness:
    """Looks at the database over and over: every score and every failure that ever stood there."""

    def __init__(self, home: Home) -> None:
        self.scores: dict[str, list[float]] = {}
        self.failures: set[tuple[str, str]] = set()
        self._home = home
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_S):
            for path, score in self._home.sql("select path, score from photo_quality where state = 'scored'"):
                seen = self.scores.setdefault(path, [])
                if not seen or seen[-1] != score:
                    seen.append(score)
            self.failures.update(self._home.sql("select path, reason from photo_failures"))


class Copyist:
    """Brings files in every way in which they are not whole for a while."""

    def __init__(self, home: Home, seed: int) -> None:
        self.stalled = False
        """The machine stood still for so long that a part of a file had to count as the whole."""
        self._home = home
        self._seeds = itertools.count(1000 * seed)
        self._drawing = threading.Lock()
        self._place = home.photos / f"seed {seed}"
        self._place.mkdir()

    def picture(self) -> bytes:
        """A photo that nobody else has; its width tells it from all others."""
        with self._drawing:
            number = next(self._seeds)
            drawn = make_photo(self._home.folder / "drawn.jpg", number, (300 + number % 1000, 240))
            return drawn.read_bytes()

    def write(self, path: Path, data: bytes, *, pieces: int = PIECES, mode: str = "wb") -> None:
        """Write a file slowly, or only its first pieces."""
        size = len(data) // PIECES + 1
        with path.open(mode) as file:
            for start in range(0, size * pieces, size):
                with self._brief():
                    file.write(data[start : start + size])
                    file.flush()
                    time.sleep(PAUSE_S)

    @contextlib.contextmanager
    def _brief(self) -> Iterator[None]:
        """Notice when what is between two pieces takes so long that the first could count as the whole."""
        began = time.monotonic()
        yield
        self.stalled |= time.monotonic() - began > SETTLE_S / 2

    def scored(self, path: Path) -> bytes:
        """Bring a photo, and wait for its score."""
        path.write_bytes(picture := self.picture())
        until(lambda: self._home.sql("select 1 from photo_quality where path = ?", str(path)), f"{path}")
        return picture

    def copied(self) -> Arrival:
        self.write(path := self._place / "copied.jpg", picture := self.picture())
        return Arrival(path, [picture])

    def closed_after_each_piece(self) -> Arrival:
        """As a download that goes on after each break."""
        path, picture = self._place / "closed.jpg", self.picture()
        for start in range(0, len(picture), 2000):
            with self._brief():
                with path.open("ab") as file:
                    file.write(picture[start : start + 2000])
                time.sleep(PAUSE_S / 2)
        return Arrival(path, [picture])

    def of_full_size_from_the_beginning(self) -> Arrival:
        """As copies to network disks: zeros where it still lacks."""
        path, picture = self._place / "sized.jpg", self.picture()
        path.touch()
        os.truncate(path, len(picture))
        self.write(path, picture, mode="r+b")
        return Arrival(path, [picture])

    def with_the_time_of_its_original(self) -> Arrival:
        """As `cp -p`."""
        self.write(path := self._place / "old.jpg", picture := self.picture())
        os.utime(path, (1.5e9, 1.5e9))
        return Arrival(path, [picture])

    def renamed_from_part(self) -> Arrival:
        self.write(part := self._place / "browser.jpg.part", picture := self.picture())
        return Arrival(part.rename(self._place / "browser.jpg"), [picture])

    def renamed_from_hidden(self) -> Arrival:
        """As rsync."""
        self.write(hidden := self._place / ".synced.jpg.Xa1b2C", picture := self.picture())
        return Arrival(hidden.rename(self._place / "synced.jpg"), [picture])

    def renamed_from_a_photo_name(self) -> Arrival:
        self.write(temporary := self._place / "tmp_export.jpg", picture := self.picture())
        return Arrival(temporary.rename(self._place / "export.jpg"), [picture])

    def renamed_while_it_is_written(self) -> Arrival:
        path, picture = self._place / "before.jpg", self.picture()
        self.write(path, picture, pieces=3)
        path = path.rename(self._place / "after.jpg")
        self.write(path, picture, mode="r+b")
        return Arrival(path, [picture])

    def in_a_new_folder(self) -> Arrival:
        path = self._place / "new" / "deep" / "a.jpg"
        path.parent.mkdir(parents=True)
        self.write(path, picture := self.picture())
        return Arrival(path, [picture])

    def overwritten(self) -> Arrival:
        old = self.scored(path := self._place / "overwritten.jpg")
        self.write(path, new := self.picture())
        return Arrival(path, [old, new])

    def overwritten_in_place(self) -> Arrival:
        """As `rsync --inplace`: new in front and old behind, until the end."""
        old = self.scored(path := self._place / "inplace.jpg")
        self.write(path, new := self.picture(), mode="r+b")
        os.truncate(path, len(new))
        return Arrival(path, [old, new])

    def replaced(self) -> Arrival:
        """As programs that save safely."""
        old = self.scored(path := self._place / "saved.jpg")
        self.write(temporary := self._place / "saved.jpg~", new := self.picture())
        return Arrival(temporary.rename(path), [old, new])

    def overwritten_before_it_was_stable(self) -> Arrival:
        first, picture = self.picture(), self.picture()
        self.write(path := self._place / "twice.jpg", first)
        self.write(path, picture)
        return Arrival(path, [picture])

    def deleted_and_made_again(self) -> Arrival:
        first, picture = self.picture(), self.picture()
        self.write(path := self._place / "again.jpg", first, pieces=3)
        path.unlink()
        self.write(path, picture)
        return Arrival(path, [picture])

    def deleted_before_it_was_stable(self) -> Arrival:
        self.write(path := self._place / "deleted.jpg", self.picture())
        path.unlink()
        return Arrival(path, [])

    def given_up_in_the_middle(self) -> Arrival:
        self.write(path := self._place / "half.jpg", self.picture(), pieces=3)
        path.unlink()
        return Arrival(path, [])

    def moved_out_before_it_was_stable(self) -> Arrival:
        self.write(path := self._place / "out.jpg", self.picture(), pieces=3)
        path.rename(self._home.folder / "out.jpg")
        return Arrival(path, [])

    def everything(self) -> list[Arrival]:
        """Bring all of them, at the same time."""
        functions = filter(inspect.isfunction, vars(Copyist).values())
        ways = [way for way in functions if inspect.get_annotations(way).get("return") == "Arrival"]
        with ThreadPoolExecutor(len(ways)) as pool:
            return list(pool.map(lambda way: way(self), ways))
