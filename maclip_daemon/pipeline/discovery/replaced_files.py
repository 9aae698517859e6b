"""Tell a file that was replaced, or written and given its old time again, from one that only looks new.

Size and modification time tell nothing then: `cp -p`, renumbered photos of a burst, the two seconds of FAT.
The time of the inode's change and the inode's number do. Where they differ, the photo is read again; it keeps
its score while its picture is the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from maclip_daemon.files.signature import HasRecordedSignature
from maclip_daemon.folders.file_systems import file_system_of, keeps_inodes
from maclip_daemon.folders.scanner import FoundFile
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.photos.photo_records import FileOnDisk
from maclip_daemon.library.storage.database import Session


class ReplacedFiles:
    """Which of some files, whose size and time are as recorded, may have another content."""

    def __init__(self, files: Sequence[FoundFile], *, were_written: bool) -> None:
        """`were_written`: the file system reported that these files were written."""
        self._files = files
        self._were_written = were_written
        self._is_kept: dict[str, bool] = {}
        self._alike: Counter[tuple[int, int]] | None = None

    def may_be_replaced(self, session: Session, known: HasRecordedSignature, found: FileOnDisk) -> bool:
        """Return whether a file of the recorded size and time may have another content."""
        is_same_inode = known.inode == found.inode
        if known.device != found.device:  # the same disk under another number, or a copy on another disk
            return not (is_same_inode and known.ctime_ns == found.ctime_ns) and self._has_twin(session, found)
        if is_same_inode and known.ctime_ns not in (None, found.ctime_ns):
            return True
        if not self._keeps_inodes(found):
            return self._were_written or (not is_same_inode and self._has_twin(session, found))
        return not is_same_inode

    def _has_twin(self, session: Session, found: FileOnDisk) -> bool:
        """Return whether another photo has the same size and time: the two may have changed places."""
        if self._alike is None:
            self._alike = photo_records.count_alike(session, self._files)
        return self._alike[(found.size, found.mtime_ns)] > 1

    def _keeps_inodes(self, found: FileOnDisk) -> bool:
        folder = os.path.dirname(found.path)  # noqa: PTH120 - surrogates
        if folder not in self._is_kept:
            self._is_kept[folder] = keeps_inodes(file_system_of(folder))
        return self._is_kept[folder]
