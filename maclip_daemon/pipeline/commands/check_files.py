"""Compare library, journal, rating files and photos, and name every disagreement. Changes nothing."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.files import safe_writer
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.scanner import FoundFile, found_file
from maclip_daemon.library.queries import recorded_photos
from maclip_daemon.library.queries.recorded_photos import JournalledFile, RecordedPhoto
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage.open_readonly import ReadableLibrary
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import UndoOutcome
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.decoder_pool import DecoderPool
from maclip_daemon.pipeline.commands import rating_comparison, stray_files
from maclip_daemon.pipeline.commands.disagreement import Cures, FileDisagreement
from maclip_daemon.pipeline.commands.online_roots import OnlineRoots

STILL_AT_WORK_S = 600.0  # a temporary file of a running daemon may be that old
SECOND_LOOKS = 9  # beside a daemon, which finishes what it has in hand meanwhile
BETWEEN_LOOKS_S = 5.0
DECODED_AHEAD = 16  # photos whose pixels wait to be compared

Progress = Callable[[str], None]


@dataclass
class CheckReport:
    """What was compared, and what does not agree."""

    disagreements: list[FileDisagreement] = field(default_factory=list)
    photos: int = 0
    files: int = 0
    """Rating files that the journal knows."""
    pictures: int = 0
    """Photos whose pixels were compared."""
    edited: int = 0
    """Rating files that another program wrote since; undo takes out only what is maclip's."""
    offline: list[str] = field(default_factory=list)
    """Why folders could not be looked at; nothing is known about their files."""


@dataclass(frozen=True)
class _Recorded:
    """The library at one moment."""

    photos: list[RecordedPhoto]
    files: list[JournalledFile]
    unconfirmed: list[str]
    folders: list[str]
    protocol: str | None

    @classmethod
    def read(cls, library: ReadableLibrary) -> _Recorded:
        with library.snapshot() as snapshot:
            return cls(
                recorded_photos.recorded_photos(snapshot),
                recorded_photos.journalled_files(snapshot),
                recorded_photos.unconfirmed_files(snapshot),
                list(recorded_photos.photo_folders(snapshot)),
                recorded_photos.protocol(snapshot),
            )


class FileCheck:
    """One check of a library against its files."""

    def __init__(
        self,
        library: ReadableLibrary,
        writer: MetadataWriter,
        probe: FilesystemProbe,
        rules: rating_comparison.Rules,
        *,
        is_running: bool,
    ) -> None:
        """`is_running`: a daemon works with the library; what it has in hand is no disagreement."""
        self._library = library
        self._writer = writer
        self._probe = probe
        self._rules = rules
        self._cures = Cures(library.path, is_running)

    def run(self, pool: DecoderPool | None, progress: Progress = lambda _: None) -> CheckReport:
        """Return the report; `pool` decodes the photos, None leaves the pixels out."""
        report = self._look(None, progress)
        if pool is not None:
            self._compare_pictures(report, pool, progress)
        for _ in range(SECOND_LOOKS if self._cures.is_running else 0):
            if not report.disagreements:
                break
            time.sleep(BETWEEN_LOOKS_S)
            self._look_again(report)
        return report

    def _look(self, only: set[str] | None, progress: Progress = lambda _: None) -> CheckReport:
        """Compare everything but pixels, or `only` these paths."""
        recorded, report = _Recorded.read(self._library), CheckReport()
        roots = OnlineRoots(self._library, self._probe)
        for photo in recorded.photos:
            if (only is None or photo.path in only) and self._is_online(photo.path, roots, report):
                report.photos += 1
                progress(photo.path)
                report.disagreements += self._photo(photo, roots)
        for file in recorded.files:
            if (only is None or file.path in only) and self._is_online(file.path, roots, report):
                report.files += 1
                report.disagreements += self._journalled(file, roots, report)
        if not self._cures.is_running:
            for path in recorded.unconfirmed:
                if self._is_online(path, roots, report):
                    what = f"A write to {path} was interrupted, and the library does not know how it ended."
                    cure = self._cures.run(roots.root_of(path))
                    report.disagreements.append(FileDisagreement(path, "unconfirmed", what, cure))
        folders = [folder for folder in recorded.folders if self._is_online(folder, roots, report)]
        known = {file.path for file in recorded.files} | {file.origin_path or "" for file in recorded.files}
        report.disagreements += [
            stray for stray in self._strays(folders, known, roots) if only is None or stray.path in only
        ]
        return report

    def _strays(self, folders: list[str], known: set[str], roots: OnlineRoots) -> Iterator[FileDisagreement]:
        before = time.time() - (STILL_AT_WORK_S if self._cures.is_running else 0.0)
        return stray_files.find(folders, known, self._writer, self._probe, self._cures, roots.root_of, before)

    def _look_again(self, report: CheckReport) -> None:
        """Drop the disagreements that a running daemon has settled meanwhile."""
        again = self._look({each.path for each in report.disagreements})
        lasting = {(each.path, each.kind) for each in again.disagreements}
        waiting = {photo.path for photo in _Recorded.read(self._library).photos if photo.is_waiting}
        report.disagreements = [
            each
            for each in report.disagreements
            if (each.path, each.kind) in lasting
            or (each.kind in ("pixels", "unreadable") and each.path not in waiting)
        ]

    def _is_online(self, path: str, roots: OnlineRoots, report: CheckReport) -> bool:
        offline = roots.reason_offline_at(path)
        if offline is not None and str(offline) not in report.offline:
            report.offline.append(str(offline))
        return offline is None

    def _photo(self, photo: RecordedPhoto, roots: OnlineRoots) -> Iterator[FileDisagreement]:
        if photo.is_waiting:
            return  # a job will see the file anew
        root = roots.root_of(photo.path)
        try:
            found: FoundFile | None = self._probe.call(photo.path, lambda: found_file(photo.path))
        except NoAnswer:
            return  # its server is silent, which does not mean that the photo is gone
        if found is None:
            what = f"{photo.path} is not there any more, and the library takes it for present."
            yield FileDisagreement(photo.path, "gone", what, self._cures.run(root))
        elif (found.size, found.mtime_ns) != (photo.size, photo.mtime_ns):
            what = f"{photo.path} was changed since it was scored."
            yield FileDisagreement(photo.path, "changed", what, self._cures.run(root))
        elif photo.state == "scored":
            try:
                rating = self._writer.inspect(Path(photo.path), photo.stars_written)
            except MaclipError:
                return  # the library has the reason why it gets no stars
            yield from rating_comparison.compare(photo, rating, self._rules, self._cures, root)

    def _journalled(
        self, file: JournalledFile, roots: OnlineRoots, report: CheckReport
    ) -> Iterator[FileDisagreement]:
        """Yield what is wrong with a file that maclip wrote: without its photo, or beyond undo."""
        with self._library.reading() as session:
            chain = rating_journal.undo_chain(session, file.path)
        if not chain:
            return  # undone meanwhile
        try:
            entries = [roots.entry_now(entry, chain) for entry in chain]
            target = entries[0].target
            present = self._probe.call(str(target), functools.partial(_digest, target))
            if present is None or (present == file.after_hash and file.photo_path is not None):
                return
            outcomes = self._writer.preview_undo(entries)
        except MaclipError as error:
            yield FileDisagreement(file.path, "undo", f"{file.path} cannot be read: {error}", "Repair it.")
            return
        last = outcomes[-1]
        if not isinstance(last, UndoOutcome) or last.status == "changed":
            reason = last.reason if isinstance(last, UndoOutcome) else str(last)
            what = f"{file.path} was changed since maclip wrote it, and undo cannot bring it back: {reason}"
            cure = "Restore it from a backup, or move it away; maclip then writes another."
            yield FileDisagreement(file.path, "undo", what, cure)
        elif file.photo_path is None and last.status == "removed":
            what = f"{target} holds nothing but maclip's stars, and its photo is gone."
            cure = self._cures.remove(str(target)) if file.is_forgotten else self._cures.purge()
            yield FileDisagreement(file.path, "orphan", what, cure)
        else:
            report.edited += present != file.after_hash

    def _compare_pictures(self, report: CheckReport, pool: DecoderPool, progress: Progress) -> None:
        """Decode the photos whose files look as they were, and compare their pixels with the library."""
        recorded = _Recorded.read(self._library)
        named = {each.path for each in report.disagreements}
        roots = OnlineRoots(self._library, self._probe)
        due = [
            photo
            for photo in recorded.photos
            if photo.state == "scored" and not photo.is_waiting and photo.pixel_hash is not None
            if photo.path not in named and roots.reason_offline_at(photo.path) is None
        ]
        for start in range(0, len(due), DECODED_AHEAD):
            part = due[start : start + DECODED_AHEAD]
            assert recorded.protocol is not None  # there are scores
            futures = [pool.submit(Path(photo.path), recorded.protocol) for photo in part]
            for photo, future in zip(part, futures, strict=True):
                progress(photo.path)
                report.pictures += 1
                report.disagreements += self._picture(photo, future, roots.root_of(photo.path))

    def _picture(
        self, photo: RecordedPhoto, future: Future[DecodedPhoto], root: str | None
    ) -> Iterator[FileDisagreement]:
        try:
            decoded = future.result()
        except MaclipError as error:
            what = f"{photo.path} has a score, and cannot be decoded now: {error}"
            yield FileDisagreement(photo.path, "unreadable", what, self._cures.rescore(photo.path, root))
            return
        decoded.discard()
        assert photo.pixel_hash is not None
        is_former_kind = (":" in decoded.pixel_hash) != (":" in photo.pixel_hash)
        if decoded.pixel_hash != photo.pixel_hash and not is_former_kind:
            what = f"{photo.path} holds another picture than the one that was scored."
            yield FileDisagreement(photo.path, "pixels", what, self._cures.rescore(photo.path, root))


def _digest(target: Path) -> str | None:
    """Return the hash of a file; None when there is none, and no hash of what cannot be read."""
    try:
        return safe_writer.digest(safe_writer.read_regular(target)[0]) if os.path.lexists(target) else None
    except FileNotFoundError:
        return None
    except (OSError, MaclipError):  # a preview of undo says what is wrong with it
        return ""
