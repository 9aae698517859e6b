"""Take rejected photos away with all that belongs to them: to a folder, and back. Nothing is deleted.

What is moved is first written into a list in that folder, so that `--undo` brings everything back, whatever
happened meanwhile.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.files import moved_files, safe_writer
from maclip_daemon.files.paths import with_path
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queries.rejected_photos import CullCandidate
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import REJECTED
from maclip_daemon.metadata.sidecars import sidecar_names

LIST_NAME = "maclip-cull.jsonl"
MOST_NUMBERS = 10_000  # tried for a name that is taken

Action = Literal["move", "copy"]


@dataclass(frozen=True)
class CulledFile:
    """One file that was moved, copied or brought back, or why it was left alone."""

    path: Path
    target: Path | None
    reason: str = ""

    def sentence(self) -> str:
        """Return the file and why it was left alone, its path once."""
        return with_path(self.path, self.reason)


def confirmed(
    candidates: Sequence[CullCandidate], writer: MetadataWriter, probe: FilesystemProbe
) -> Iterator[CullCandidate | CulledFile]:
    """Yield the candidates whose files say the same as the library; the others with the reason."""
    for each in candidates:
        path = Path(each.path)
        try:
            probe.ping(each.path)
            found = writer.inspect(path, each.stars_written)
        except errors.MaclipError as error:
            yield CulledFile(path, None, str(error))
            continue
        if each.is_rejected and found.rating != REJECTED:
            yield CulledFile(path, None, "It is no longer rejected: another program rated it meanwhile.")
        elif not each.is_rejected and found.owner == "person":
            yield CulledFile(path, None, "You have rated it meanwhile.")
        else:
            yield each


def with_sidecars(photos: Sequence[Path]) -> list[list[Path]]:
    """Return the files that stay together: each shot with its sidecars, one shot after the other.

    A sidecar `IMG.xmp` that another photo or film shares stays with that one. Raises `OSError`.
    """
    shots: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for photo in photos:
        shots[photo.parent, photo.stem].append(photo)
    return [_files_of_shot(folder, stem, files) for (folder, stem), files in shots.items()]


def take(shots: Sequence[Sequence[Path]], folder: Path, action: Action) -> Iterator[CulledFile]:
    """Move or copy shots into a folder, under names that are free there; yield what became of each file."""
    taken: set[str] = set()
    for files in shots:
        for source, target in _targets(files, folder, taken):
            yield _take_one(source, target, action)


def bring_back(folder: Path) -> Iterator[CulledFile]:
    """Move the files of the list in a folder back to where they were, the last one first.

    Raises `EnvironmentUnfit` when the folder has no list.
    """
    for entry in reversed(_entries(folder)):
        source, target = Path(entry["to"]), Path(entry["from"])
        if not os.path.lexists(source):
            continue  # it was brought back before, or its move never happened
        if os.path.lexists(target):
            yield CulledFile(source, None, f"{target} is there again, so this one stays.")
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            moved_files.move(source, target)
        except (OSError, errors.MaclipError) as error:
            yield CulledFile(source, None, _reason(error))
        else:
            yield CulledFile(source, target)


def _files_of_shot(folder: Path, stem: str, photos: list[Path]) -> list[Path]:
    found = dict.fromkeys(photos)
    table = sidecar_names.listing_of(folder)
    names = {photo.name for photo in photos}
    for photo in photos:
        for sidecar in sidecar_names.find_all(photo):
            is_shared = any(name not in names for name in table.sharers_of(photo.name))
            if sidecar.kind == "full" or not is_shared:
                found[sidecar.path] = None
        # darktable's duplicates: IMG_01.jpg.xmp belongs to IMG.jpg, unless a photo IMG_01.jpg is there.
        for duplicate in sorted(folder.glob(f"{_escaped(stem)}_[0-9][0-9]*{_escaped(photo.suffix)}.xmp")):
            number = duplicate.name[len(stem) + 1 : -len(photo.suffix + ".xmp")]
            if number.isdigit() and not os.path.lexists(duplicate.with_suffix("")):
                found[duplicate] = None
    return list(found)


def _escaped(text: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in text)


def _targets(files: Sequence[Path], folder: Path, taken: set[str]) -> list[tuple[Path, Path]]:
    """Return source and target of the files of one shot, which keep one stem."""
    stem = min((file.name.partition(".")[0] for file in files), key=len)
    for number in range(1, MOST_NUMBERS):
        extra = "" if number == 1 else f" ({number})"
        pairs = [(file, folder / f"{stem}{extra}{file.name[len(stem) :]}") for file in files]
        names = [target.name for _, target in pairs]
        if not any(name in taken or os.path.lexists(folder / name) for name in names):
            taken.update(names)
            return pairs
    raise errors.EnvironmentUnfit(f"{folder} has {MOST_NUMBERS} files called {stem}. Choose another folder.")


def _take_one(source: Path, target: Path, action: Action) -> CulledFile:
    try:
        if action == "copy":
            moved_files.copy(source, target)
        else:
            _note(target.parent, source, target)
            moved_files.move(source, target)
    except (OSError, errors.MaclipError) as error:
        return CulledFile(source, None, _reason(error))
    return CulledFile(source, target)


def _note(folder: Path, source: Path, target: Path) -> None:
    """Write a move into the list before it happens."""
    line = json.dumps({"from": str(source), "to": str(target)})
    with (folder / LIST_NAME).open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    safe_writer.flush(folder)


def _entries(folder: Path) -> list[dict[str, str]]:
    try:
        lines = (folder / LIST_NAME).read_text("utf-8").splitlines()
    except OSError:
        raise errors.EnvironmentUnfit(
            f"{folder} has no list of moved photos ({LIST_NAME}), so nothing can be brought back from it."
        ) from None
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
            entries.append({"from": str(entry["from"]), "to": str(entry["to"])})
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a power cut: that move had not begun
    return entries


def _reason(error: Exception) -> str:
    if isinstance(error, FileExistsError):
        return "A file of this name appeared there meanwhile. Run the command again."
    if isinstance(error, OSError):
        return f"It stays where it is: {error.strerror}."
    return str(error)
