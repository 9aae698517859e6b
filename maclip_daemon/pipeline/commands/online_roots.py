"""The watched folders as undo sees them: a file is not gone while its root is offline."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from maclip_daemon import errors
from maclip_daemon.files.paths import is_below
from maclip_daemon.folders import root_health
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.folders.root_health import Root, RootFacts
from maclip_daemon.library.photos import root_records as library_roots
from maclip_daemon.library.results import rating_journal
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.open_readonly import ReadableLibrary
from maclip_daemon.metadata.records import UndoEntry, UndoOutcome
from maclip_daemon.pipeline import disk_presence, known_roots
from maclip_daemon.pipeline.recovery import current_target


class OnlineRoots:
    """The watched folders, each checked once."""

    def __init__(self, library: ReadableLibrary, probe: FilesystemProbe) -> None:
        self.probe = probe
        self._library = library
        with library.reading() as session:
            self._roots = library_roots.known_roots(session)
        self._reasons: dict[str, str] = {}

    def entry_now(
        self, entry: rating_journal.JournalRow, chain: Sequence[rating_journal.JournalRow]
    ) -> UndoEntry:
        """Return one of the writes in `chain`, all to one file, with its path of today. Raises `NoAnswer`."""
        is_created = any(each.before_hash is None for each in chain)
        path = entry.target_path
        self.probe.ping(path)
        target = self.probe.call(path, functools.partial(current_target, entry))
        return UndoEntry(target, entry.before_hash, entry.after_hash, entry.restore, is_created)

    def require_online_for(self, entry: rating_journal.JournalRow, outcome: UndoOutcome) -> None:
        """Raise `RootOffline` when a file only seems to be as before, for its disk is away.

        A disk may be mounted below a root that is there itself; then an empty folder is in its place.
        """
        if outcome.status not in ("already", "gone"):
            return
        if offline := self.reason_offline(entry):
            raise offline
        if outcome.status == "gone" and entry.photo_id is not None:
            with self._library.reading() as session:
                photo = photo_paths.locations_of(session, [entry.photo_id]).get(entry.photo_id)
            is_of_root = photo is not None and photo.device in {root.device for root in self._roots}
            if photo is None or is_of_root:
                return
            if not self.probe.call(
                photo.path, functools.partial(disk_presence.is_present, photo.path, photo.device)
            ):
                raise errors.RootOffline(
                    f"{entry.target_path} is away: its disk is not there. Connect it, then undo again. If it "
                    "is gone for good, `maclip purge` forgets the photo."
                )

    def reason_offline(self, entry: rating_journal.JournalRow) -> errors.RootOffline | None:
        """Return why the root of a file is offline, if photos of it are known; None when it is not."""
        return self.reason_offline_at(entry.target_path)

    def reason_offline_at(self, path: str) -> errors.RootOffline | None:
        """Return why the root of this path is offline; see `reason_offline`."""
        for root in self._roots:
            if root.photo_count and is_below(path, root.path):
                if root.path not in self._reasons:
                    self._reasons[root.path] = self._check(root)
                if self._reasons[root.path]:
                    return errors.RootOffline(self._reasons[root.path])
        return None

    def root_of(self, path: str) -> str | None:
        """Return the watched folder that holds this path; None when none does."""
        around = [root.path for root in self._roots if is_below(path, root.path)]
        return max(around, key=len, default=None)

    def _check(self, known: library_roots.KnownRoot) -> str:
        """Return why the root is offline, or does not answer; empty when it is there."""
        root = Root(known.path)
        facts = None if known.device is None else RootFacts(known.device)
        with self._library.reading() as session:
            sample = known_roots.sample_photos(session, known.path, known.device)
        try:
            health = self.probe.call_below(
                known.path, lambda: root_health.check(root, facts, known.photo_count, sample)
            )
        except errors.NoAnswer as silent:
            return str(silent)
        return health.reason
