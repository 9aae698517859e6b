"""A copier that writes photos in every slow way, and a sampler of the database."""

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
SAMPLE_S = 0.03


@dataclass
class Arrival:
    """A file that arrives: its final path, and every complete state that lasts long enough for a score."""

    path: Path
    states: list[bytes]
    """Contents, in order. Empty: the file must never be scored."""


class DatabaseSampler:
    """Samples the database and collects every score and failure ever stored there."""

    def __init__(self, home: Home) -> None:
        self.scores: dict[str, list[float]] = {}
        self.failures: set[tuple[str, str]] = set()
        self._home = home
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> DatabaseSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        for path, score in self._home.sql("select path, score from photo_quality where state = 'scored'"):
            seen = self.scores.setdefault(path, [])
            if not seen or seen[-1] != score:
                seen.append(score)
        self.failures.update(self._home.sql("select path, reason from photo_failures"))


class SlowCopier:
    """Writes files in every way that leaves them incomplete for a while."""

    def __init__(self, home: Home, seed: int) -> None:
        self.stalled = False
        """True when the machine paused for so long that part of a file had to count as complete."""
        self._home = home
        self._seeds = itertools.count(1000 * seed)
        self._drawing = threading.Lock()
        self._folder = home.photos / f"seed {seed}"
        self._folder.mkdir()

    def picture(self) -> bytes:
        """Return a new JPEG; its width distinguishes it from all others."""
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
        """Set `stalled` when a pause is so long that one piece could count as complete."""
        began = time.monotonic()
        yield
        self.stalled |= time.monotonic() - began > SETTLE_S / 2

    def scored(self, path: Path) -> bytes:
        """Write a photo, wait for its score, and return its content."""
        path.write_bytes(picture := self.picture())
        until(lambda: self._home.sql("select 1 from photo_quality where path = ?", str(path)), f"{path}")
        return picture

    def copied(self) -> Arrival:
        self.write(path := self._folder / "copied.jpg", picture := self.picture())
        return Arrival(path, [picture])

    def closed_after_each_piece(self) -> Arrival:
        """Append as a download does that resumes after each break."""
        path, picture = self._folder / "closed.jpg", self.picture()
        for start in range(0, len(picture), 2000):
            with self._brief():
                with path.open("ab") as file:
                    file.write(picture[start : start + 2000])
                time.sleep(PAUSE_S / 2)
        return Arrival(path, [picture])

    def of_full_size_from_the_beginning(self) -> Arrival:
        """Write as copies to network disks do: zeros in place of missing data."""
        path, picture = self._folder / "sized.jpg", self.picture()
        with self._brief():
            path.touch()
            os.truncate(path, len(picture))
        self.write(path, picture, mode="r+b")
        return Arrival(path, [picture])

    def with_the_time_of_its_original(self) -> Arrival:
        """Set the original's modification time at the end, as `cp -p` does."""
        self.write(path := self._folder / "old.jpg", picture := self.picture())
        os.utime(path, (1.5e9, 1.5e9))
        return Arrival(path, [picture])

    def renamed_from_part(self) -> Arrival:
        self.write(part := self._folder / "browser.jpg.part", picture := self.picture())
        return Arrival(part.rename(self._folder / "browser.jpg"), [picture])

    def renamed_from_hidden(self) -> Arrival:
        """Rename a hidden temporary file, as rsync does."""
        self.write(hidden := self._folder / ".synced.jpg.Xa1b2C", picture := self.picture())
        return Arrival(hidden.rename(self._folder / "synced.jpg"), [picture])

    def renamed_from_a_photo_name(self) -> Arrival:
        self.write(temporary := self._folder / "tmp_export.jpg", picture := self.picture())
        return Arrival(temporary.rename(self._folder / "export.jpg"), [picture])

    def renamed_while_it_is_written(self) -> Arrival:
        path, picture = self._folder / "before.jpg", self.picture()
        self.write(path, picture, pieces=3)
        path = path.rename(self._folder / "after.jpg")
        self.write(path, picture, mode="r+b")
        return Arrival(path, [picture])

    def in_a_new_folder(self) -> Arrival:
        path = self._folder / "new" / "deep" / "a.jpg"
        path.parent.mkdir(parents=True)
        self.write(path, picture := self.picture())
        return Arrival(path, [picture])

    def overwritten(self) -> Arrival:
        old = self.scored(path := self._folder / "overwritten.jpg")
        self.write(path, new := self.picture())
        return Arrival(path, [old, new])

    def overwritten_in_place(self) -> Arrival:
        """Overwrite as `rsync --inplace` does: new data in front, old data behind."""
        old = self.scored(path := self._folder / "inplace.jpg")
        self.write(path, new := self.picture(), mode="r+b")
        os.truncate(path, len(new))
        return Arrival(path, [old, new])

    def replaced(self) -> Arrival:
        """Replace through a temporary file, as safe saves do."""
        old = self.scored(path := self._folder / "saved.jpg")
        self.write(temporary := self._folder / "saved.jpg~", new := self.picture())
        return Arrival(temporary.rename(path), [old, new])

    def overwritten_before_it_was_stable(self) -> Arrival:
        first, picture = self.picture(), self.picture()
        self.write(path := self._folder / "twice.jpg", first)
        self.write(path, picture)
        return Arrival(path, [picture])

    def deleted_and_written_again(self) -> Arrival:
        first, picture = self.picture(), self.picture()
        self.write(path := self._folder / "again.jpg", first, pieces=3)
        path.unlink()
        self.write(path, picture)
        return Arrival(path, [picture])

    def deleted_before_it_was_stable(self) -> Arrival:
        self.write(path := self._folder / "deleted.jpg", self.picture())
        path.unlink()
        return Arrival(path, [])

    def aborted_in_the_middle(self) -> Arrival:
        self.write(path := self._folder / "half.jpg", self.picture(), pieces=3)
        path.unlink()
        return Arrival(path, [])

    def moved_out_before_it_was_stable(self) -> Arrival:
        self.write(path := self._folder / "out.jpg", self.picture(), pieces=3)
        path.rename(self._home.folder / "out.jpg")
        return Arrival(path, [])

    def everything(self) -> list[Arrival]:
        """Run every kind of arrival at the same time and return them."""
        functions = filter(inspect.isfunction, vars(SlowCopier).values())
        ways = [way for way in functions if inspect.get_annotations(way).get("return") == "Arrival"]
        with ThreadPoolExecutor(len(ways)) as pool:
            return list(pool.map(lambda way: way(self), ways))
