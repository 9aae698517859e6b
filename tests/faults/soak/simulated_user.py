"""A simulated user who changes a library at random, with slow copies in parallel."""

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
REUSED_NAME_SHARE = 0.15  # of new photos: the camera's counter was reset


class SimulatedUser:
    """Performs random actions; a seed repeats the choices as far as timing allows."""

    def __init__(
        self,
        home: Home,
        model: Model,
        outside: Path,
        contents: list[Content],
        chance: random.Random,
        photo_limit: int,
    ) -> None:
        """`outside`: an unwatched folder on the same file system. `contents` may grow later."""
        self.home = home
        self.model = model
        self.outside = outside
        self.chance = chance
        self.photo_limit = photo_limit
        self.performed: dict[str, int] = {}
        """How often each action was performed."""
        self._contents = contents
        self._numbers = 0
        self._slow_copies: list[Iterator[None]] = []

    def perform_random(self, weights: dict[Callable[[SimulatedUser], bool], float]) -> None:
        """Continue every slow copy, then perform one action by weight; it may find nothing to do."""
        self._continue_slow_copies()
        action = self.chance.choices(list(weights), list(weights.values()))[0]
        if action(self):
            name = action.__name__.replace("_", " ")
            self.performed[name] = self.performed.get(name, 0) + 1

    def finish(self) -> None:
        """Finish every slow copy."""
        while self._slow_copies:
            self._continue_slow_copies()
            time.sleep(0.05)

    def write_slowly(self, photo: Photo) -> None:
        """Write the photo's bytes in pieces, one with each following action.

        The file stays open meanwhile, even when it is renamed.
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

        self._slow_copies.append(pieces())

    def _continue_slow_copies(self) -> None:
        self._slow_copies = [
            copy for copy in self._slow_copies if next(copy, StopIteration) is not StopIteration
        ]

    def number(self) -> int:
        """Return a new number."""
        self._numbers += 1
        return self._numbers

    def content(self, suffix: str | None = None) -> Content:
        """Return a random image, optionally of one format."""
        return self.chance.choice([one for one in self._contents if suffix in (None, one.suffix)])

    def new_path(self, suffix: str) -> str:
        """Return a new path in a random folder."""
        return os.path.join(self.folder(), self.new_name(suffix))

    def new_name(self, suffix: str) -> str:
        """Return a new file name; some have unusual characters."""
        return f"IMG{self.number():05d}{self.chance.choice(DECORATIONS)}{suffix}"

    def newcomer(self) -> tuple[Content, str]:
        """Return an image and a path for it; sometimes the path of a deleted photo."""
        content = self.content()
        path = self.new_path(content.suffix)
        if self.chance.random() < REUSED_NAME_SHARE:
            before = [old for old in self.model.gone if old.endswith(content.suffix) and self.is_free(old)]
            path = self.chance.choice(before) if before else path
        return content, path

    def is_free(self, path: str) -> bool:
        """Return whether a file can be created at the path."""
        return not os.path.lexists(path) and Path(path).parent.is_dir()

    def photo(self, suffix: str | None = None) -> Photo | None:
        """Return a random photo without a slow copy, or None."""
        free = [
            photo
            for photo in self.model.photos.values()
            if not photo.is_busy and suffix in (None, photo.content.suffix)
        ]
        return self.chance.choice(free) if free else None

    def folders(self) -> list[str]:
        """Return the folders in order, without hidden ones."""
        found = []
        for folder, names, _ in os.walk(self.model.root):
            names[:] = sorted(name for name in names if not name.startswith("."))
            found.append(folder)
        return found

    def folder(self) -> str:
        """Return a random folder."""
        return self.chance.choice(self.folders())

    def subfolder(self) -> str | None:
        """Return a random folder below the root, or None."""
        folders = self.folders()[1:]
        return self.chance.choice(folders) if folders else None
