"""Hands that do things to a library: what they may choose from, and slow copies that go on beside."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.soak.model import Content, Model, Photo
from tests.homes import Home

DECORATIONS = ("", "", "", "", " (2)", "-é", "-e\u0301", "'s", "%s", " #1", "\n2", "-\udcff", "{0}", ".edit")
PIECE_PAUSE_S = (0.02, 0.5)  # shorter and longer than the quiet period of the tests' daemon, 0.3 s
REUSED_NAMES = 0.15  # of the arrivals: the camera counts from the beginning again


class Hands:
    """Chooses photos, folders and names at random; a seed chooses the same again, as far as time allows."""

    def __init__(
        self,
        home: Home,
        model: Model,
        outside: Path,
        contents: list[Content],
        chance: random.Random,
        most_photos: int,
    ) -> None:
        """`outside`: a folder on the same file system that nobody watches. `contents` may grow."""
        self.home = home
        self.model = model
        self.outside = outside
        self.chance = chance
        self.most_photos = most_photos
        self.done: dict[str, int] = {}
        """How often each deed was done."""
        self._contents = contents
        self._numbers = 0
        self._slow: list[Iterator[None]] = []

    def do_one_of(self, deeds: dict[Callable[[Hands], bool], float]) -> None:
        """The next piece of every slow copy, and one deed by its weight. It may find nothing to do."""
        self._go_on_slowly()
        deed = self.chance.choices(list(deeds), list(deeds.values()))[0]
        if deed(self):
            name = deed.__name__.replace("_", " ")
            self.done[name] = self.done.get(name, 0) + 1

    def finish(self) -> None:
        """Let every slow copy come to its end."""
        while self._slow:
            self._go_on_slowly()
            time.sleep(0.05)

    def write_slowly(self, photo: Photo) -> None:
        """Write the photo's bytes in pieces, from now on, with every further deed.

        The file is open all the while, whatever becomes of its name.
        """
        photo.is_busy = True
        file = Path(photo.path).open("wb", buffering=0)  # noqa: SIM115 - closed with the last piece
        data = photo.content.data

        def pieces() -> Iterator[None]:
            size = len(data) // self.chance.randint(1, 4) + 1
            with file:
                for start in range(0, len(data), size):
                    file.write(data[start : start + size])
                    following = time.monotonic() + self.chance.uniform(*PIECE_PAUSE_S)
                    while time.monotonic() < following:
                        yield
            photo.is_busy = False

        self._slow.append(pieces())

    def _go_on_slowly(self) -> None:
        self._slow = [copy for copy in self._slow if next(copy, StopIteration) is not StopIteration]

    def number(self) -> int:
        """A number that was not there before."""
        self._numbers += 1
        return self._numbers

    def content(self, suffix: str | None = None) -> Content:
        """Any picture of that format."""
        return self.chance.choice([one for one in self._contents if suffix in (None, one.suffix)])

    def new_path(self, suffix: str) -> str:
        """A name in any folder that no photo ever had."""
        return os.path.join(self.folder(), self.new_name(suffix))

    def new_name(self, suffix: str) -> str:
        """A name that no photo ever had; some are odd."""
        return f"IMG{self.number():05d}{self.chance.choice(DECORATIONS)}{suffix}"

    def newcomer(self) -> tuple[Content, str]:
        """A picture and where it shall be; now and then a name that a photo had which is gone."""
        content = self.content()
        path = self.new_path(content.suffix)
        if self.chance.random() < REUSED_NAMES:
            before = [old for old in self.model.gone if old.endswith(content.suffix) and self.is_free(old)]
            path = self.chance.choice(before) if before else path
        return content, path

    def is_free(self, path: str) -> bool:
        """Whether a file could be put there."""
        return not os.path.lexists(path) and Path(path).parent.is_dir()

    def photo(self, suffix: str | None = None) -> Photo | None:
        """Any photo that no slow copy writes."""
        free = [
            photo
            for photo in self.model.photos.values()
            if not photo.is_busy and suffix in (None, photo.content.suffix)
        ]
        return self.chance.choice(free) if free else None

    def folders(self) -> list[str]:
        """The folders in order; hidden ones are nobody's photos."""
        found = []
        for folder, names, _ in os.walk(self.model.root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            found.append(folder)
        return found

    def folder(self) -> str:
        """Any folder."""
        return self.chance.choice(self.folders())

    def subfolder(self) -> str | None:
        """Any folder but the root."""
        folders = self.folders()[1:]
        return self.chance.choice(folders) if folders else None
