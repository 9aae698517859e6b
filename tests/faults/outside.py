"""What lies outside of the watched folders: nobody may open it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from tests.homes import contents, until


class Opened(FileSystemEventHandler):
    """Every file that anybody opened below a folder."""

    def __init__(self) -> None:
        self.paths: set[str] = set()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self.paths.add(os.fsdecode(event.src_path))


@contextlib.contextmanager
def untouched(outside: Path) -> Iterator[None]:
    """Nothing below this folder may be opened, and at the end it must be as it was."""
    before = contents(outside)
    opened = Opened()
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
