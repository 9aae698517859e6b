"""Moves rejected photos to a folder beside a person's work on the page, and brings them back.

One shot at a time: it is asked again, moved and recorded while no decision is written. Its photos are missing
from then on, as if another program had moved them, and return with their scores.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.files.paths import is_below
from maclip_daemon.library.photos import gone_copies, missing_photos, photo_records, root_records
from maclip_daemon.library.queries import rejected_photos
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.queries.rejected_photos import CullCandidate
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage import notes, photo_paths
from maclip_daemon.pipeline import file_stability
from maclip_daemon.pipeline.commands.culling import cull, cull_folder, cull_list
from maclip_daemon.pipeline.commands.culling.cull import CulledFile
from maclip_daemon.pipeline.commands.journalled_write import JournalledWrites
from maclip_daemon.pipeline.commands.online_roots import OnlineRoots

FOLDERS_NOTE = "folders of rejected photos"
FINISH_TIMEOUT_S = 10.0  # for a drive that does not answer the page shows what it knows
KEPT_FOLDERS = 20  # that the page offers to bring photos back from


@dataclass(frozen=True)
class MovedShot:
    """What became of the files of one shot."""

    photo_ids: Sequence[int]
    files: Sequence[CulledFile]


class RejectedMoves:
    """Moves and returns of one library. `lock`: held while files are at work, as for decisions."""

    def __init__(self, writes: JournalledWrites, lock: AbstractContextManager[object]) -> None:
        self._writes = writes
        self._library = writes.library
        self._lock = lock
        self._has_finished = threading.Event()
        self._unfinished: list[Path] = []
        """Folders in which a cut-off move is left, after `finish_killed`."""

    def shots(self, under: tuple[str, ...]) -> list[list[CullCandidate]]:
        """Return the rejected photos below these paths, the files of a shot together."""
        with self._library.snapshot() as snapshot:
            candidates = rejected_photos.rejected(snapshot, PhotoFilter(under=under))
        found: dict[tuple[str, str], list[CullCandidate]] = defaultdict(list)
        for each in candidates:
            path = Path(each.path)
            found[str(path.parent), path.stem].append(each)
        return list(found.values())

    def move(self, shots: Sequence[Sequence[CullCandidate]], folder: Path) -> Iterator[MovedShot]:
        """Move these shots; yield what became of each. Raises `EnvironmentUnfit`, `NoSpace`, `Transient`.

        Ends early, with the reason, once the folder takes no more.
        """
        self._make(folder)
        self._remember(folder)
        self._finish(folder)
        for shot in shots:
            with self._lock:
                moved = self._move_shot(shot, folder)
            yield moved
            if full := next((file for file in moved.files if file.is_folder_unfit), None):
                raise errors.NoSpace(f"{folder} takes no more: {full.reason} The rest stays where it is.")

    def bring_back(self, folder: Path) -> Iterator[MovedShot]:
        """Bring back what a folder holds; yield what became of each file. Raises `EnvironmentUnfit`."""
        with self._lock:
            self._record_former_returns(folder)
        with self._library.reading() as session:
            roots = root_records.known_roots(session)
        returned = cull.bring_back(folder, lambda path: cull_folder.why_absent(roots, path))
        while True:
            with self._lock:
                each = next(returned, None)
                if each is None:
                    return
                known = self._record_returned(each.target) if each.target is not None else ()
            yield MovedShot(known, [each])

    def folders(self) -> list[tuple[Path, int]]:
        """Return the folders of earlier moves that still hold files, and how many; the last one first."""
        found = [(folder, len(cull_list.held(folder))) for folder in reversed(self._known_folders())]
        return [(folder, count) for folder, count in found if count]

    def finish_killed(self) -> bool:
        """Move the rest of each shot whose move was cut off by the end of an earlier run.

        Return whether there is nothing left to try: the library may be locked, or a drive absent. Another
        call tries what is left.
        """
        try:
            folders = self._unfinished or self._known_folders()
            self._unfinished = [folder for folder in folders if not self._can_finish(folder)]
        except errors.MaclipError:
            return False
        finally:
            self._has_finished.set()
        return not self._unfinished

    def _can_finish(self, folder: Path) -> bool:
        """Finish what a kill cut off in a folder; return whether that was all. Its list keeps the rest."""
        try:
            is_there = self._writes.probe.call(str(folder), functools.partial(os.path.isdir, folder))
            return is_there and self._finish(folder)
        except (OSError, errors.MaclipError):
            return False

    def wait_until_finished(self) -> None:
        """Wait for the end of `finish_killed`, before which too many photos count as rejected."""
        self._has_finished.wait(FINISH_TIMEOUT_S)

    def _known_folders(self) -> list[Path]:
        with self._library.reading() as session:
            return [Path(each) for each in notes.get_note(session, FOLDERS_NOTE) or []]

    def _finish(self, folder: Path) -> bool:
        """Finish what a kill cut off, and record what it had moved or brought back already.

        Return whether nothing is left to be tried again.
        """
        with self._lock:
            gone = cull.finish(folder, self._writes.clock(), self._writes.writer)
            for entry in cull_list.newest(folder):
                target = folder / entry.name
                if not os.path.lexists(entry.source):
                    gone += [CulledFile(entry.source, target)] if os.path.lexists(target) else []
                elif entry.is_returned and not os.path.lexists(target):
                    self._record_returned(entry.source)
            self._record_gone(gone)
        return all(each.target is not None or each.is_final for each in gone)

    def _record_former_returns(self, folder: Path) -> None:
        """Record photos that were brought back while the library could not be written."""
        returned = [entry for entry in cull_list.entries(folder) if entry.is_returned]
        with self._library.reading() as session:
            missing = [each for each in returned if missing_photos.is_missing(session, str(each.source))]
        for entry in missing:
            if os.path.lexists(entry.source) and not os.path.lexists(folder / entry.name):
                self._record_returned(entry.source)

    def _move_shot(self, shot: Sequence[CullCandidate], folder: Path) -> MovedShot:
        ids = [each.photo_id for each in shot]
        with self._library.snapshot() as snapshot:
            still = rejected_photos.still_rejected(snapshot, ids)
        asked = [each for each in shot if each.photo_id in still]  # the others were decided meanwhile
        left: list[CulledFile] = []
        chosen: list[CullCandidate] = []
        for each in cull.confirmed(asked, self._writes.writer, self._writes.probe):
            if isinstance(each, CulledFile):
                left.append(self._with_cause(each))
            else:
                chosen.append(each)
        if not chosen:
            return MovedShot([each.photo_id for each in asked], left)
        paths = [Path(each.path) for each in chosen]
        try:
            (files,) = cull.with_sidecars(paths)
            moved = cull.take_shot(files, folder)
        except OSError as error:
            return MovedShot(ids, [*left, *(CulledFile(path, None, f"{error.strerror}.") for path in paths)])
        self._record_gone(moved)
        return MovedShot(ids, [*left, *moved])

    def _record_gone(self, moved: Sequence[CulledFile]) -> None:
        """Record photos that are away, as discovery does when another program moves them."""
        with self._library.writing() as session:
            paths = [str(each.path) for each in moved if each.target is not None]
            found = [photo_paths.find_photo(session, path) for path in paths]
            away = [photo_id for photo_id in found if photo_id is not None]
            gone_copies.mark_gone(session, away, self._writes.clock())

    def _with_cause(self, left: CulledFile) -> CulledFile:
        """Return why a file stays, with the drive that is not there as the reason where that is so."""
        roots = OnlineRoots(self._library, self._writes.probe)
        offline = roots.reason_offline_at(str(left.path))
        return CulledFile(left.path, None, str(offline)) if offline else left

    def _record_returned(self, path: Path) -> Sequence[int]:
        """Record a photo that is back, as the next scan would."""
        found = file_stability.find_file(self._writes.probe, str(path))
        now = self._writes.clock()
        with self._library.writing() as session:
            photo_id = photo_paths.find_photo(session, str(path))
            if photo_id is None or found is None:
                return ()
            roots = root_records.known_roots(session)
            root = next((each.id for each in roots if is_below(str(path), each.path)), 0)
            recorded = photo_records.record_file(session, root, found, now)
            if recorded.needs_score:
                jobs.enqueue(session, [photo_id], "score", now)
            elif recorded.change == "returned":
                jobs.enqueue(session, [photo_id], "rate", now)  # what waited when it left
        return (photo_id,)

    def _make(self, folder: Path) -> None:
        try:
            with contextlib.suppress(FileExistsError):
                self._writes.probe.call(str(folder.parent), folder.mkdir)
        except OSError as error:
            raise errors.EnvironmentUnfit(f"The folder {folder} cannot be made: {error.strerror}.") from None

    def _remember(self, folder: Path) -> None:
        """Remember the folder before anything is in it, so that a kill hides nothing."""
        with self._library.writing() as session:
            known = [each for each in notes.get_note(session, FOLDERS_NOTE) or [] if each != str(folder)]
            kept = [*known, str(folder)][-KEPT_FOLDERS:]
            notes.put_note(session, FOLDERS_NOTE, kept, self._writes.clock())
