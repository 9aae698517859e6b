"""Exclusion of folders and files from scans and events."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

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
        "found.000",  # Windows: rescued fragments
    }
)
# Libraries, caches and backups of other programs. Originals in them are managed there: a sidecar beside one
# is lost at the next clean-up, or taken for damage. Backups hold photos that are watched elsewhere.
_LIBRARY_SUFFIXES = {
    ".photoslibrary": "Apple Photos",
    ".photolibrary": "iPhoto",
    ".migratedphotolibrary": "iPhoto",
    ".aplibrary": "Aperture",
    ".migratedaplibrary": "Aperture",
    ".lrdata": "Lightroom",
    ".lrlibrary": "Lightroom",
    ".lrcat-data": "Lightroom",
    ".cocatalog": "Capture One",
    ".imovielibrary": "iMovie",
    ".fcpbundle": "Final Cut Pro",
    ".sparsebundle": "a disk image",
}
_LIBRARY_NAMES = {
    "backups.backupdb": "Time Machine",
    "iphoto library": "iPhoto",
    "aperture library": "Aperture",
    "photo booth library": "Photo Booth",
}
_TIME_MACHINE = re.compile(r"\d{4}-\d\d-\d\d-\d{6}\.(backup|previous|interrupted|inprogress)")


def library_program(name: str) -> str | None:
    """Return the program to which a folder of this name belongs as a whole; None for ordinary folders."""
    folded = name.casefold()
    dot = folded.rfind(".")
    program = _LIBRARY_NAMES.get(folded) or (_LIBRARY_SUFFIXES.get(folded[dot:]) if dot > 0 else None)
    return program or ("Time Machine" if dot > 0 and _TIME_MACHINE.fullmatch(folded) else None)


def library_around(path: str) -> tuple[str, str] | None:
    """Return (folder, program) of another program's library that holds `path`, or is it; None outside."""
    parts = Path(path).parts
    for count, part in enumerate(parts, start=1):
        program = library_program(part)
        if program is not None:
            return str(Path(*parts[:count])), program
    return None


class Exclusion:
    """The user's patterns (as in .gitignore, relative to the root) on top of what is always excluded.

    Always: hidden files and folders, which covers trash folders and our own temporary files,
    `FOREIGN_FOLDERS`, and what `library_program` knows. As with git, nothing below an excluded folder can be
    brought back with `!`.
    Raises `ConfigurationError` that names a pattern that cannot be read.
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self.patterns = tuple(patterns)
        for pattern in self.patterns:
            try:
                GitIgnoreSpec.from_lines([pattern])
            except ValueError:
                raise ConfigurationError(
                    f"folders.exclude: the pattern {pattern!r} cannot be read. "
                    "Write it as in a .gitignore file."
                ) from None
        self._specification = GitIgnoreSpec.from_lines(self.patterns) if self.patterns else None

    def excludes_folder(self, relative: str) -> bool:
        """Return whether the folder is excluded, given that its parent is not; `relative` to the root."""
        name = os.path.basename(relative)  # noqa: PTH119 - a million calls: Path costs ten times as much
        if name.startswith(".") or name.casefold() in FOREIGN_FOLDERS or library_program(name):
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
