"""Tell renamed files from new hard links."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Sequence

from maclip_daemon.errors import NoAnswer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline import file_stability


class RenameDetection:
    """What the known paths of some files hold now, for `photo_records.see`.

    Remote paths are checked beforehand, so that no transaction waits for a server. A file whose server does
    not respond keeps its known path. Local paths are checked on demand.
    """

    def __init__(self, library: Library, probe: FilesystemProbe, files: Sequence[FoundFile]) -> None:
        self._gone: dict[str, bool] | None = {} if probe.has_remote else None
        self._found: dict[str, FoundFile | None] = {}
        if probe.has_remote:
            with library.reading() as session:
                formers = {file: photo_records.recorded_paths(session, file) for file in files}
            for file, former in formers.items():
                # The present path last: a server that goes away meanwhile takes both along, and says so.
                for path in (*former, *([os.fspath(file.path)] if former else [])):
                    self._look(probe, path, is_former=path in former)

    def _look(self, probe: FilesystemProbe, path: str, *, is_former: bool) -> None:
        assert self._gone is not None
        self._gone[path] = not is_former  # without an answer: no rename
        with contextlib.suppress(NoAnswer):
            self._found[path] = probe.call(path, functools.partial(found_file, path))
            self._gone[path] = probe.call(path, functools.partial(file_stability.is_gone, path))

    def is_gone(self, path: str) -> bool:
        """Return whether nothing is at `path` in exactly this spelling."""
        return file_stability.is_gone(path) if self._gone is None else self._gone.get(path, False)

    def is_there(self, path: str, file: photo_records.FileOnDisk) -> bool:
        """Return whether `path` holds the same file, too."""
        found = found_file(path) if self._gone is None else self._found.get(path)
        is_same = found is not None and (found.device, found.inode) == (file.device, file.inode)
        return is_same and not self.is_gone(path)
