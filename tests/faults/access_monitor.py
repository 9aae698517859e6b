"""Check that no program opens or changes a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from tests.homes import contents, until


class OpenRecorder(FileSystemEventHandler):
    """Records the paths of all files opened below a folder."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self.paths.add(os.fsdecode(event.src_path))


@contextlib.contextmanager
def assert_untouched(outside: Path) -> Iterator[None]:
    """Fail when a file below this folder is opened or changed meanwhile."""
    before = contents(outside)
    opened = OpenRecorder()
    observer = Observer()
    observer.schedule(opened, str(outside), recursive=True)
    observer.start()
    yield
    (outside / "last").touch()
    until(lambda: any(path.endswith("last") for path in opened.paths), "the last event")
    observer.stop()
    observer.join()
    (outside / "last").unlink()
    assert {path for path in opened.paths if not path.endswith("last")} == set()
    assert contents(outside) == before
