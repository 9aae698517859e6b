"""Exclusion of folders and files from scans and events."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from maclip_daemon.errors import ConfigurationError

# Folders that hold thumbnails, snapshots or deleted files of other programs. Compared without regard to case,
# because SMB servers and card readers change it. Those with a leading dot are hidden and need no entry.
FOREIGN_FOLDERS = frozenset(
    {
        "@eadir",  # Synology: thumbnails
        "#recycle",  # Synology: deleted files
        "#snapshot",  # Synology: snapshots
        "@recycle",  # QNAP: deleted files
        "@recently-snapshot",  # QNAP: snapshots
        "@__thumb",  # QNAP: thumbnails
        "$recycle.bin",  # Windows: deleted files
        "recycler",  # Windows XP: deleted files
        "system volume information",  # Windows: restore points
        "lost+found",  # ext4: rescued fragments
        "network trash folder",  # macOS on network shares
        "temporary items",  # macOS on network shares
        "__macosx",  # macOS: resource forks in archives
    }
)


class Exclusion:
    """The user's patterns (as in .gitignore, relative to the root) on top of what is always excluded.

    Always: hidden files and folders, which covers trash folders and our own temporary files, and
    `FOREIGN_FOLDERS`. As with git, nothing below an excluded folder can be brought back with `!`.
    Raises `ConfigurationError` that names a pattern that cannot be read.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.patterns = tuple(patterns)
        for pattern in self.patterns:
            try:
                GitIgnoreSpec.from_lines([pattern])
            except ValueError as error:
                raise ConfigurationError(
                    f"folders.exclude: the pattern {pattern!r} cannot be read ({error}). "
                    "Write it as in a .gitignore file."
                ) from None
        self._specification = GitIgnoreSpec.from_lines(self.patterns) if self.patterns else None

    def excludes_folder(self, relative: str) -> bool:
        """Return whether the folder is excluded, given that its parent is not; `relative` to the root."""
        name = os.path.basename(relative)  # noqa: PTH119 - a million calls: Path costs ten times as much
        if name.startswith(".") or name.casefold() in FOREIGN_FOLDERS:
            return True
        return self._matches(relative + "/")

    def excludes_file(self, relative: str) -> bool:
        """Return whether the file is excluded, given that its folder is not; `relative` to the root."""
        name = os.path.basename(relative)  # noqa: PTH119
        return name.startswith(".") or self._matches(relative)

    def excludes_path(self, relative: str, *, is_folder: bool) -> bool:
        """Return whether a file or folder, or any of its parents, is excluded."""
        parts = relative.split("/")
        parents = ("/".join(parts[:count]) for count in range(1, len(parts)))
        if any(self.excludes_folder(parent) for parent in parents):
            return True
        return self.excludes_folder(relative) if is_folder else self.excludes_file(relative)

    def _matches(self, relative: str) -> bool:
        if self._specification is None:
            return False
        # pathspec turns ** into a dot, which does not match the newlines that file names may hold.
        return self._specification.match_file(relative.replace("\n", "\0"))
