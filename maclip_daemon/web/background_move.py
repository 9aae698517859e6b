"""A move of rejected photos, or their return, that goes on while the page is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.pipeline.commands.culling.rejected_moves import MovedShot

MOST_NAMED = 200  # files that stayed, with the reason; the others are counted

MoveAction = Literal["move", "back"]


@dataclass
class MoveProgress:
    """How far a move is."""

    action: MoveAction
    folder: str
    total: int
    """Photos to move, or files to bring back."""
    done: int = 0
    files: int = 0
    """Files that changed their place."""
    left: list[str] = field(default_factory=list)
    left_count: int = 0
    is_over: bool = False
    problem: str = ""
    """Why it ended early; empty when it did not."""


class BackgroundMove:
    """One move at a time. Thread-safe. `on_moved` is called with the photo ids of each shot."""

    def __init__(self, on_moved: Callable[[Sequence[int]], None]) -> None:
        self._on_moved = on_moved
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.progress: MoveProgress | None = None
        """Of the move that runs, or ran last."""

    def start(self, progress: MoveProgress, shots: Iterator[MovedShot]) -> None:
        """Begin to move. Raises `UsageError` while another move runs."""
        with self._lock:
            if self.progress is not None and not self.progress.is_over:
                raise errors.UsageError("Photos are being moved already. Wait for the end, or stop it.")
            self._stopping.clear()
            self.progress = progress
            arguments = (progress, shots)
            self._thread = threading.Thread(
                target=self._run, args=arguments, name="moving photos", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the move after the photo that is at work; return when it has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, progress: MoveProgress, shots: Iterator[MovedShot]) -> None:
        try:
            for shot in shots:
                self._count(progress, shot)
                if self._stopping.is_set():
                    progress.problem = "" if progress.done == progress.total else "It was stopped."
                    break
        except errors.MaclipError as error:
            progress.problem = printable_utf8(str(error))
        finally:
            progress.is_over = True

    def _count(self, progress: MoveProgress, shot: MovedShot) -> None:
        progress.done += 1
        for file in shot.files:
            if file.target is None:
                progress.left_count += 1
                if len(progress.left) < MOST_NAMED:
                    progress.left.append(printable_utf8(file.sentence()))
            else:
                progress.files += 1
        self._on_moved(shot.photo_ids)
