"""Take rejected photos away with all that belongs to them: to a folder, and back. Nothing is deleted.

What is moved is first written into a list in that folder, so that `--undo` brings everything back, whatever
happened meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.files import moved_files, safe_writer, temporaries
from maclip_daemon.files.paths import with_path
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.queries.rejected_photos import CullCandidate
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import REJECTED
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.pipeline.commands.culling import cull_list

_AT_WORK_S = 1.0  # a copy is written to at least so often
MOST_NUMBERS = 10_000  # tried for a name that is taken

Action = Literal["move", "copy"]


@dataclass(frozen=True)
class CulledFile:
    """One file that was moved, copied or brought back, or why it was left alone."""

    path: Path
    target: Path | None
    reason: str = ""
    is_folder_unfit: bool = False
    """Whether other files would fare the same: the folder takes no more."""
    is_final: bool = False
    """Whether it is left alone for good, so that another try would end in the same way."""

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
    tables = {folder: sidecar_names.listing_of(folder) for folder in {folder for folder, _ in shots}}
    return [_files_of_shot(folder, files, tables[folder]) for (folder, _), files in shots.items()]


def take(shots: Sequence[Sequence[Path]], folder: Path, action: Action) -> Iterator[CulledFile]:
    """Move or copy shots into a folder, under names that are free there; yield what became of each file.

    A shot whose files cannot all be moved stays whole. Once the folder takes no more, nothing else is tried.
    """
    taken: set[str] = set()
    reason = ""
    for files in shots:
        if reason:
            yield from (CulledFile(file, None, reason) for file in files)
            continue
        for each in take_shot(files, folder, action, taken):
            reason = each.reason if each.is_folder_unfit else reason
            yield each


def take_shot(
    files: Sequence[Path], folder: Path, action: Action = "move", taken: set[str] | None = None
) -> list[CulledFile]:
    """Move or copy the files of one shot; return what became of each.

    `taken`: names in the folder that are promised to other shots. Raises `EnvironmentUnfit`.
    """
    pairs = _targets(files, folder, set() if taken is None else taken)
    if action == "copy":
        return [_copied(source, target) for source, target in pairs]
    try:
        cull_list.note(folder, pairs)
    except OSError as error:
        return [CulledFile(source, None, _reason(error), is_folder_unfit=True) for source, _ in pairs]
    moved: list[tuple[Path, Path]] = []
    for source, target in pairs:
        try:
            moved_files.move(source, target)
        except KeyboardInterrupt:
            _take_back(pairs)
            raise
        except (OSError, errors.MaclipError) as error:
            away = _put_back(moved)
            cull_list.note_end(folder, pairs)
            return [
                CulledFile(file, away.get(file), _reason(error), is_folder_unfit=_is_full(error))
                for file, _ in pairs
            ]
        moved.append((source, target))
    cull_list.note_end(folder, pairs)
    return [CulledFile(source, target) for source, target in moved]


def bring_back(folder: Path, why_absent: Callable[[str], str] = lambda _: "") -> Iterator[CulledFile]:
    """Move the files of the list in a folder back to where they were, the last one first.

    `why_absent(path)`: why the drive of a path is not there; empty when it is. Raises `EnvironmentUnfit` when
    the folder has no list.
    """
    for entry in reversed(cull_list.entries(folder)):
        source, target = folder / entry.name, entry.source
        if not os.path.lexists(source):
            continue  # it was brought back before, or its move never happened
        if reason := why_absent(str(target)):
            yield CulledFile(source, None, reason)
            continue
        if os.path.lexists(target) and not entry.is_returned:
            yield CulledFile(source, None, f"{target} is there again, so this one stays.")
            continue
        try:
            cull_list.note_return(folder, entry.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A kill may have cut off its return to another disk.
            (moved_files.finish_move if entry.is_returned else moved_files.move)(source, target)
        except FileExistsError:
            yield CulledFile(source, None, f"{target} is there again, so this one stays.")
        except (OSError, errors.MaclipError) as error:
            yield CulledFile(source, None, _reason(error))
        else:
            yield CulledFile(source, target)


def finish(folder: Path, now: float, writer: MetadataWriter) -> list[CulledFile]:
    """Move the rest of the shot whose move a kill cut off; return what became of all its files.

    Where a person has rated what stayed of it since, the rest comes back instead. A file that is at both
    places with one content leaves the first: its copy to another disk was whole. A half copy leaves the
    folder; `now`: seconds since the epoch, so that no copy at work is disturbed.
    """
    temporaries.remove_strays(folder, older_than=now - _AT_WORK_S, now=now)
    results = []
    shot = cull_list.begun(folder)
    try:
        is_rated = any(_is_rated(entry.source, writer) for entry in shot)
    except errors.MaclipError as error:  # asked again at the next start
        return [CulledFile(entry.source, None, str(error)) for entry in shot]
    if is_rated:
        return _back_together(folder, shot)
    for entry in shot:
        target = folder / entry.name
        try:
            if os.path.lexists(entry.source):
                moved_files.finish_move(entry.source, target)
        except (OSError, errors.MaclipError) as error:
            is_final = isinstance(error, FileExistsError)  # with another content
            results.append(CulledFile(entry.source, None, _reason(error), is_final=is_final))
        else:
            if os.path.lexists(target):
                results.append(CulledFile(entry.source, target))
    return results


def _is_rated(photo: Path, writer: MetadataWriter) -> bool:
    """Return whether a photo is there that a person has rated, and not rejected. Raises `MaclipError`."""
    if not is_photo(photo.name) or not os.path.lexists(photo):
        return False
    found = writer.inspect(photo)
    return found.owner == "person" and found.rating != REJECTED


def _back_together(folder: Path, shot: Sequence[cull_list.CullEntry]) -> list[CulledFile]:
    """Move the files of a shot that were moved already back to those that stayed."""
    pairs = [(entry.source, folder / entry.name) for entry in shot]
    away = _take_back(pairs)
    if not away:
        cull_list.note_end(folder, pairs)
    return [
        CulledFile(source, away.get(source), "You have rated a photo of this shot meanwhile.", is_final=True)
        for source, _ in pairs
    ]


def _files_of_shot(folder: Path, photos: list[Path], table: sidecar_names.NameTable) -> list[Path]:
    found = dict.fromkeys(photos)
    names = {photo.name for photo in photos}
    for photo in photos:
        is_shared = any(name not in names for name in table.sharers_of(photo.name))
        for name, kind in table.sidecars_of(photo.name):
            if kind == "full" or not is_shared:
                found[folder / name] = None
        # darktable's duplicates: IMG_01.jpg.xmp belongs to IMG.jpg, unless a photo IMG_01.jpg is there.
        for name in table.numbered_sidecars_of(photo.name):
            found[folder / name] = None
    return list(found)


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


def _copied(source: Path, target: Path) -> CulledFile:
    try:
        moved_files.copy(source, target)
    except (OSError, errors.MaclipError) as error:
        return CulledFile(source, None, _reason(error), is_folder_unfit=_is_full(error))
    return CulledFile(source, target)


def _put_back(moved: list[tuple[Path, Path]]) -> dict[Path, Path]:
    """Move the files of a shot back, of which one could not be moved; return those that are still away."""
    away = {}
    for source, target in reversed(moved):
        try:
            moved_files.move(target, source)
        except (OSError, errors.MaclipError):
            away[source] = target  # listed, so that it can be brought back later
    return away


def _take_back(pairs: list[tuple[Path, Path]]) -> dict[Path, Path]:
    """Undo the moves of a shot as far as they have come; return the files that are still away.

    A whole copy beside its original, which was to be removed next, goes.
    """
    for source, target in pairs:
        if not (os.path.lexists(source) and os.path.lexists(target)):
            continue
        with contextlib.suppress(OSError):
            if safe_writer.digest_of(target) == safe_writer.digest_of(source) is not None:
                target.unlink()
    return _put_back([pair for pair in pairs if not os.path.lexists(pair[0]) and os.path.lexists(pair[1])])


def _is_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def _reason(error: Exception) -> str:
    if isinstance(error, FileExistsError):
        return "A file of this name appeared there meanwhile. Run the command again."
    if isinstance(error, OSError):
        return f"It stays where it is: {error.strerror}."
    return str(error)
