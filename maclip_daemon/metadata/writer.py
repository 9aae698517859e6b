"""The parent's side of metadata: ask the child to read, prepare, commit and undo. Loads no pyexiv2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from maclip_daemon import errors
from maclip_daemon.metadata.records import FoundRating, Prepared, RatingRequest, UndoEntry, UndoOutcome

TIMEOUT_S = 60.0  # for each photo; a safe write takes 2 to 30 ms, a sleeping network disk many seconds


class MetadataWriter:
    """Writes ratings in two phases, so that the journal row is stored before the file is replaced.

    Any method raises `ChildDied` or `ChildTimedOut` when the child is lost; the next call starts a new one.
    A `Prepared` outlives its child: `commit` and `discard` work with a new child too. Not thread-safe.
    """

    def __init__(self, *, timeout_s: float = TIMEOUT_S, nice: int = 0) -> None:
        raise NotImplementedError

    def prepare(self, request: RatingRequest) -> Prepared:
        """Write and verify a temporary file beside the target; a person sees no difference yet.

        What cannot be done now and here (no permission, hard links, a name that is too long, XML that is not
        safe) is a `skipped` result with a reason. Raises `NoSpace`, `FileChanged` (the photo or the sidecar
        changed meanwhile or is gone: try again), `Transient`.
        """
        raise NotImplementedError

    def prepare_many(self, requests: Sequence[RatingRequest]) -> list[Prepared | errors.MaclipError]:
        """`prepare` for many photos with their data flushed together; an error takes its photo's place."""
        raise NotImplementedError

    def commit(self, prepared: Prepared) -> None:
        """Put the prepared file in its place and flush it to the disk.

        Raises `FileChanged` when the target is no longer what it was at `prepare` (it is left as it is and
        the temporary file is removed), `NoSpace`, `Transient`. Committing twice is harmless.
        """
        raise NotImplementedError

    def commit_many(self, prepared: Sequence[Prepared]) -> list[errors.MaclipError | None]:
        """`commit` for many photos with each folder flushed once; None where it was done."""
        raise NotImplementedError

    def discard(self, prepared: Prepared) -> None:
        """Remove the temporary file of a prepared write."""
        raise NotImplementedError

    def undo(self, entry: UndoEntry) -> UndoOutcome:
        """Bring the file back to its bytes, permissions and time of before, or remove the sidecar we created.

        Raises `EnvironmentUnfit` when the folder or the file may not be written, `NoSpace`, `Transient`.
        """
        raise NotImplementedError

    def inspect(self, photo: Path, last_written: int | None = None) -> FoundRating:
        """Read the rating that photo managers see, and whose it is.

        Raises `FileChanged` when the photo is gone, `Poison` when neither file can be read.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let the child end."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
