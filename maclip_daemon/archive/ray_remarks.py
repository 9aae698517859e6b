"""Ray's remarks about its workers: kept in a file, because photographers can do little with them."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

_LONGEST = 1 << 20  # bytes of remarks; a run of a week must not fill a disk
_FILE = "maclip-archive-remarks.log"


class RayRemarks(io.TextIOBase):
    """Takes what Ray prints on standard output, line by line. Thread-safe enough for whole lines."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._room = _LONGEST

    @property
    def is_empty(self) -> bool:
        """Whether Ray said nothing."""
        return self._room == _LONGEST

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Keep a text, while there is room; a disk that takes no more ends no run."""
        kept = text.encode("utf-8", "backslashreplace")[: self._room]
        if kept:
            with contextlib.suppress(OSError), self.path.open("ab") as file:
                file.write(kept)
            self._room -= len(kept)
        return len(text)

    def add(self, remark: str) -> None:
        """Keep one more line."""
        self.write(f"{remark}\n")


@contextlib.contextmanager
def kept_back(session: str | None) -> Iterator[RayRemarks]:
    """Keep what is printed on standard output from the screen while Ray runs; yield where it is.

    `session`: the folder of Ray's own logs on this machine; without one, a temporary folder.
    """
    folder = Path(session) / "logs" if session else Path(tempfile.gettempdir())
    remarks = RayRemarks(folder if folder.is_dir() else Path(tempfile.gettempdir()))
    with contextlib.redirect_stdout(remarks):
        yield remarks
