"""What is by now at the paths by which files are known: were they renamed, or have they got a second name?"""

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


class RenameDetection:
    """The other paths of some files, as `photos.see` asks for them.

    Servers are asked beforehand: nobody waits for them while a transaction is open. One that does not answer
    leaves a file where it is known. Local disks are asked when it comes to it.
    """

    def __init__(self, library: Library, probe: FilesystemProbe, files: Sequence[FoundFile]) -> None:
        self._gone: dict[str, bool] | None = None
        self._found: dict[str, FoundFile | None] = {}
        if probe.has_remote:
            with library.reading() as session:
                paths = photo_records.recorded_paths(session, files)
            self._gone = dict.fromkeys(paths, False)
            for path in paths:
                with contextlib.suppress(NoAnswer):
                    self._found[path] = probe.call(path, functools.partial(found_file, path))
                    self._gone[path] = probe.call(path, functools.partial(_is_gone, path))

    def is_gone(self, path: str) -> bool:
        """Whether nothing is at `path` any more, in this very spelling."""
        return _is_gone(path) if self._gone is None else self._gone.get(path, False)

    def is_there(self, path: str, file: photo_records.FileOnDisk) -> bool:
        """Whether that very file is at `path`, too."""
        found = found_file(path) if self._gone is None else self._found.get(path)
        is_same = found is not None and (found.device, found.inode) == (file.device, file.inode)
        return is_same and not self.is_gone(path)


def _is_gone(path: str) -> bool:
    """Whether nothing is at `path` any more, in this very spelling.

    Where case does not count (FAT, NTFS, APFS), what was renamed to `img.jpg` is still found as `IMG.jpg`.
    """
    try:
        if os.lstat(path).st_nlink > 1:
            return False  # two names of one file
        while path != os.sep:
            path, name = os.path.split(path)
            if name not in os.listdir(path):  # noqa: PTH208 - names as they are, also those that are not UTF-8
                return True
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
