"""Sidecars from an archive's results (`maclip archive sidecars`), beside photos that no library watches.

Written as the rating stage writes: whose rating it is, the proof, the journal before the file, verified
bytes. So `maclip undo` restores every file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from maclip_daemon import errors
from maclip_daemon.archive.rated_rows import RatedRow
from maclip_daemon.files.paths import is_below, printable, with_path
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.library_identity import library_ids
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared, QualityProperties, RatingRequest
from maclip_daemon.photos.measures.reasons import SEPARATOR
from maclip_daemon.pipeline import file_stability, intended_write, known_roots, recovery
from maclip_daemon.pipeline.rating import sidecar_naming
from maclip_daemon.pipeline.rating.darktable_check import CheckedPhoto, DarktableCheck
from maclip_daemon.settings import RatingSettings

BATCH_PHOTOS = 32  # that share two transactions and one flush a folder

SidecarOutcome = Literal["written", "unchanged", "person", "skipped", "missing", "other", "watched", "failed"]
Copy = tuple[Path, RatedRow]


@dataclass(frozen=True)
class SidecarResult:
    """What became of one photo."""

    path: Path
    outcome: SidecarOutcome
    """`missing`: no file is there. `other`: another size than the photo that was scored. `watched`: its
    library rates it.
    """
    reason: str = ""

    def sentence(self) -> str:
        """Return the photo and why nothing was written, its path once, on one line."""
        return printable(with_path(self.path, self.reason))


class ArchiveSidecars:
    """Writes sidecars in batches. Call `recovery.recover` before, with the lock of the data folder held."""

    def __init__(
        self,
        library: Library,
        writer: MetadataWriter,
        probe: FilesystemProbe,
        settings: RatingSettings,
        clock: Callable[[], float],
    ) -> None:
        self._library, self._writer, self._probe, self._clock = library, writer, probe, clock
        self._settings = settings
        self._darktable = DarktableCheck(library, writer, settings.darktable_libraries, patience_s=0.0)
        self._roots = [str(root) for root in known_roots.paths(library)]
        self._name = sidecar_naming.asked_name(settings.sidecar_name)
        with library.reading() as session:
            self._library_id = library_ids(session).own

    def write(self, copies: Iterable[Copy], *, dry_run: bool = False) -> Iterator[SidecarResult]:
        """Write the sidecars, and yield what became of each photo; with `dry_run`, what probably would.

        Raises `NoSpace` for a full disk: what was written is whole, and the next call goes on there.
        """
        waiting = iter(copies)
        while batch := list(itertools.islice(waiting, BATCH_PHOTOS)):
            found = {path: self._look(path, row) for path, row in batch}
            yield from (result for result in found.values() if result is not None)
            ready = [copy for copy in batch if found[copy[0]] is None]
            if dry_run:
                yield from (SidecarResult(path, "written") for path, _ in ready)
            else:
                yield from self._write(ready)

    def _look(self, path: Path, row: RatedRow) -> SidecarResult | None:
        """Return why a photo gets no sidecar; None for one that does."""
        if any(is_below(str(path), root) for root in self._roots):
            return SidecarResult(path, "watched")
        try:
            self._probe.ping(str(path))
        except errors.NoAnswer as error:
            return SidecarResult(path, "failed", str(error))
        found = file_stability.find_file(self._probe, str(path))
        if found is None:
            return SidecarResult(path, "missing")
        return SidecarResult(path, "other") if row.size not in (None, found.size) else None

    def _write(self, ready: Sequence[Copy]) -> Iterator[SidecarResult]:
        """Write these, one by one after the metadata process was lost, to find the photo to blame."""
        try:
            results = self._attempt(ready)
        except errors.NoSpace:
            raise
        except (errors.ChildDied, errors.ChildTimedOut) as error:
            if len(ready) == 1:
                yield SidecarResult(ready[0][0], "failed", str(error))
            else:
                for copy in ready:
                    yield from self._write([copy])
            return
        yield from results

    def _attempt(self, ready: Sequence[Copy]) -> list[SidecarResult]:
        """Prepare and commit; photos with a second sidecar take part again until both are written."""
        results: list[SidecarResult] = []
        while ready:
            prepared: list[tuple[Copy, Prepared]] = []
            for copy, answer in zip(ready, self._prepare(ready), strict=True):
                if isinstance(answer, Prepared) and answer.status == "prepared":
                    prepared.append((copy, answer))
                else:
                    results.append(_unwritten(copy[0], answer))
            committed = intended_write.commit_journalled(self._writer, prepared, self._intend, self._settle)
            ready = []
            for copy, done, error in committed:
                if error is None and done.has_more:
                    ready.append(copy)
                elif error is None:
                    results.append(SidecarResult(copy[0], "person" if done.owner == "person" else "written"))
                else:
                    results.append(_unwritten(copy[0], error))
        return results

    def _prepare(self, ready: Sequence[Copy]) -> list[Prepared | errors.MaclipError]:
        answers = self._writer.prepare_many([self._request(path, row) for path, row in ready])
        return self._darktable.apply(answers, [CheckedPhoto(None, None) for _ in ready])

    def _request(self, path: Path, row: RatedRow) -> RatingRequest:
        return RatingRequest(
            photo=path,
            quality=QualityProperties(
                score=row.score,
                percentile=row.percentile,
                stars=row.stars,
                metric=row.metric,
                model=row.model,
                protocol=row.protocol,
                scored_at=datetime.fromisoformat(row.scored_at),
                reasons=tuple(row.reasons.split(SEPARATOR)) if row.reasons else (),
            ),
            reject=row.percentile < self._settings.reject_below_percentile,
            bucket_tags=self._settings.bucket_tags,
            pixel_hash=row.pixel_hash,
            library_id=self._library_id,
            sidecar_name=self._name,
        )

    def _intend(self, prepared: Sequence[tuple[Copy, Prepared]]) -> list[int]:
        now = self._clock()
        with self._library.writing() as session:
            return [
                intended_write.intend(
                    session,
                    photo_paths.find_photo(session, str(path)),
                    result,
                    intended_write.maclips_stars(result),
                    now,
                    row.pixel_hash,
                )
                for (path, row), result in prepared
            ]

    def _settle(
        self,
        prepared: Sequence[tuple[Copy, Prepared]],
        entries: Sequence[int],
        outcomes: Sequence[errors.MaclipError | None],
    ) -> None:
        """Confirm what was written; after an error, the file tells whether it was."""
        now = self._clock()
        written: dict[int, bool | None] = {}
        for (_, result), entry, error in zip(prepared, entries, outcomes, strict=True):
            done = result.undo_entry
            written[entry] = error is None or recovery.finish_interrupted(
                self._probe, done.target, done.before_hash, done.after_hash, now
            )
        with self._library.writing() as session:
            for entry in entries:
                recovery.settle(session, entry, written[entry], now)


def _unwritten(path: Path, answer: Prepared | errors.MaclipError) -> SidecarResult:
    if isinstance(answer, errors.NoSpace):
        raise answer
    if isinstance(answer, errors.MaclipError):
        return SidecarResult(path, "failed", str(answer))
    match answer.status:
        case "person" | "unchanged" | "skipped":
            return SidecarResult(path, answer.status, answer.reason)
        case _:
            raise AssertionError("what was prepared is committed")
