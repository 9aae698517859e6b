"""One prepared file, written as the rating stage writes: first into the journal, then into its place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from maclip_daemon import errors
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.photos import photo_records
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Prepared
from maclip_daemon.pipeline import file_stability, intended_write, journal_compaction, recovery

Record = Callable[[Session], None]


@dataclass(frozen=True)
class PhotoWrite:
    """A prepared file of one photo."""

    photo_id: int
    path: str
    """The photo's."""
    prepared: Prepared
    stars_written: int | None
    """maclip's stars in the file afterwards; None where the rating there is a person's or nobody's."""

    @property
    def is_embedded(self) -> bool:
        """Return whether the photo itself is rewritten."""
        return self.prepared.target is not None and str(self.prepared.target) == self.path


class JournalledWrites:
    """Commits prepared files for commands of a person. Not thread-safe."""

    def __init__(
        self,
        library: Library,
        writer: MetadataWriter,
        probe: FilesystemProbe,
        clock: Callable[[], float],
    ) -> None:
        self.library, self.writer, self.probe, self.clock = library, writer, probe, clock

    def commit(
        self, write: PhotoWrite, before: Record, after: Record, not_written: Record = lambda _: None
    ) -> None:
        """Journal the write together with `before`, replace the file, confirm it together with `after`.

        `not_written`: called instead of `after` where the file was certainly left as it was.
        Raises `NoSpace`, `FileChanged`, `Transient`; then the file is as it was, or the journal tells that it
        was replaced all the same.
        """
        prepared = write.prepared
        try:
            with self.library.writing() as session:
                entry = intended_write.intend(
                    session, write.photo_id, prepared, write.stars_written, self.clock()
                )
                before(session)
        except errors.MaclipError:
            with contextlib.suppress(errors.MaclipError):
                self.writer.discard(prepared)
            raise
        try:
            self.writer.commit(prepared)
        except errors.MaclipError:
            if not self._is_written_all_the_same(entry, write, not_written):
                raise
        self._confirm(entry, write, after)

    def _is_written_all_the_same(self, entry: int, write: PhotoWrite, not_written: Record) -> bool:
        """Settle the journal after a failed commit: a lost process may have replaced the file before."""
        undo_entry = write.prepared.undo_entry
        now = self.clock()
        with self.library.reading() as session:
            photo = photo_paths.locations_of(session, [write.photo_id]).get(write.photo_id)
        written = recovery.finish_interrupted(
            self.probe, undo_entry.target, undo_entry.before_hash, undo_entry.after_hash, now, photo
        )
        if written:
            return True
        with self.library.writing() as session:
            recovery.settle(session, entry, written, now)
            if written is False:  # and not merely unknown, as on a drive that went
                not_written(session)
        return False

    def _confirm(self, entry: int, write: PhotoWrite, after: Record) -> None:
        found = file_stability.find_file(self.probe, write.path) if write.is_embedded else None
        with self.library.writing() as session:
            journal_compaction.confirm(session, entry, self.clock())
            if found is not None:  # discovery must not take our own write for a change
                photo_records.record_rewrite(session, write.photo_id, found)
            after(session)
