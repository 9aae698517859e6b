"""The discovery stage: events and scans become photos and jobs. One thread serves all roots."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import queue
import threading
import time
from typing import Protocol

from maclip_daemon.files.paths import is_below
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.folders.mount_changes import MountChanges
from maclip_daemon.folders.scanner import found_file, is_folder
from maclip_daemon.library.photos import gone_copies, photo_records, renames
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.discovery.reconciliation import record
from maclip_daemon.pipeline.discovery.watched_root import WatchedRoot
from maclip_daemon.pipeline.file_stability import find_file
from maclip_daemon.pipeline.run_state import RunState, log
from maclip_daemon.pipeline.waits import Resource

MAX_QUEUED_EVENTS = 10_000  # beyond that a scan of the root is cheaper than following each event
EVENTS_PER_ROUND = 1000  # before settled files get their turn
RESCAN_AFTER_ERROR_S = 5.0  # a watcher that keeps failing must not load the processor
SIDECAR_RENAME_S = 10.0
HEARTBEAT_TIMEOUT_S = 60.0  # beyond the planned sleep


class SidecarEvents(Protocol):
    """The rating stage's part in events. Thread-safe."""

    def on_event(self, event: FolderEvent) -> FolderEvent | None:
        """Take the sidecars of an event; return its part about photos, or None."""

    def request_full_check(self) -> None:
        """Check all rated photos soon, because events were lost."""


class DiscoveryStage:
    """The discovery stage: watch and scan the roots, and record what is found."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        roots: list[WatchedRoot],
        sidecar_monitor: SidecarEvents,
        *,
        once: bool,
    ) -> None:
        """`once`: scan every root a single time and watch none."""
        self._library = library
        self._state = state
        self.roots = roots
        self._sidecar_monitor = sidecar_monitor
        self._once = once
        self._events: queue.Queue[tuple[WatchedRoot, FolderEvent]] = queue.Queue(MAX_QUEUED_EVENTS)
        self._busy = True
        self.first_scan_began = threading.Event()

    @property
    def is_idle(self) -> bool:
        """Return whether everything found so far is in the library."""
        return not self._busy and self._events.empty()

    def run(self) -> None:
        """Work until the run stops."""
        for root in self.roots:
            root.next_scan = time.monotonic()
        try:
            with contextlib.closing(MountChanges([root.path for root in self.roots])) as mounts:
                while not self._state.stopping.is_set():
                    self._check_remounted(mounts.changed_roots())
                    self._scan_due_roots()
                    self._record_settled()
                    self._update_waits()
                    self._handle_events(self._sleep_s())
        finally:
            for root in self.roots:
                root.close()

    def on_event(self, root: WatchedRoot, event: FolderEvent) -> None:
        """Queue an event of a watcher's thread. Never blocks: the watcher holds its lock meanwhile."""
        about_photos = self._sidecar_monitor.on_event(event)
        if about_photos is None:
            return
        try:
            self._events.put_nowait((root, about_photos))
        except queue.Full:
            root.lost_events = True

    def is_offline(self, path: str) -> bool:
        """Return whether the root of a photo cannot be read at the moment."""
        root = self._root_of(path)
        # Another file system may be mounted below the root.
        responds = self._state.probe.call_or(path, lambda: os.path.lexists(path), None) is not None
        return root is not None and not (responds and root.can_be_read())

    def check_photo_soon(self, path: str) -> None:
        """Check a photo again when it has settled; another program may be writing it."""
        if root := self._root_of(path):
            self.on_event(root, FolderEvent(EventKind.FILE_CHANGED, path))

    def check_root_soon(self, path: str) -> None:
        """Check the health of a photo's root in the next round, and read some of its photos."""
        if root := self._root_of(path):
            root.is_doubted = True
            root.next_scan = time.monotonic()

    def _root_of(self, path: str) -> WatchedRoot | None:
        return next((root for root in self.roots if is_below(path, root.path)), None)

    def _update_waits(self) -> None:
        waits, now = self._state.waits, time.monotonic()
        hung = self._state.probe.hung_folders()
        for root in self.roots:
            wait_s = root.debouncer.wait_s(now)
            if wait_s is None or root.is_paused:
                waits.end(Resource("settling", root.path))
            else:
                reason = f"Changed moments ago, and may not be complete: {root.debouncer.pending}."
                waits.begin(Resource("settling", root.path), reason, for_s=wait_s)
        for wait in waits.list():
            if wait.resource.kind == "server" and wait.resource.of not in hung:
                waits.end(wait.resource)
        for folder in hung:
            waits.begin(Resource("server", folder), f"The folder {folder} does not answer.", for_s=math.inf)

    def _check_remounted(self, changed: list[str]) -> None:
        """Check and scan roots at, above or below which something was mounted, moved or unmounted."""
        for root in self.roots:
            if root.path in changed and not self._once:
                log.info("mounts changed; scanning", folder=root.path)
                root.next_scan = time.monotonic()

    def _scan_due_roots(self) -> None:
        for root in self.roots:
            if root.has_died():
                root.close_dead_watcher()
            if time.monotonic() < root.next_scan or self._state.stopping.is_set():
                continue
            self.first_scan_began.set()
            if root.check():
                # Before the scan, so that nothing falls between them.
                is_new_watcher = not self._once and root.listen(self.on_event)
                report = root.scan()
                if is_new_watcher or report.returned:
                    self._sidecar_monitor.request_full_check()
                log.info(
                    "folder scanned",
                    folder=root.path,
                    photos=report.files,
                    queued=report.queued,
                    checked=report.checked,
                    moved=report.moved,
                    missing=report.missing,
                )
            if self._once:
                root.next_scan = float("inf")
            elif not root.is_doubted or root.is_paused:  # else a decoder met its disk's fault meanwhile
                root.next_scan = time.monotonic() + root.scan_interval_s()

    def _record_settled(self) -> None:
        for root in self.roots:
            # A file whose server does not respond does not settle; the scan after its return finds it.
            due = root.debouncer.due(time.monotonic(), functools.partial(find_file, self._state.probe))
            if root.is_paused:
                continue  # all its photos are missing; the scan after its return finds them
            if due.everything:
                root.next_scan = time.monotonic()
            root.add_empty(due.empty)
            sightings = record(self._library, self._state, root.root_id, due.files, were_written=True)
            has_returned = any(sighting.change == "returned" for sighting in sightings)
            if has_returned:
                root.queue_ratings_of_returned()
            for folder in due.folders:
                if root.check():
                    has_returned |= bool(root.scan(folder).returned)
                if root.is_paused or root.was_cut_short:
                    root.next_scan = min(root.next_scan, time.monotonic() + root.scan_interval_s())
            if has_returned:  # a person may have rated them while they were away
                self._sidecar_monitor.request_full_check()

    def _sleep_s(self) -> float:
        now = time.monotonic()
        waits = [max(0.0, root.next_scan - now) for root in self.roots]
        waits += [wait for root in self.roots if (wait := root.debouncer.wait_s(now)) is not None]
        # With `--once` there is little to wait for; otherwise a stop must be noticed soon.
        return min([*waits, 0.2 if self._once else 1.0])

    def _handle_events(self, wait_s: float) -> None:
        self._state.heartbeat.beat("folders", wait_s + HEARTBEAT_TIMEOUT_S)
        taken: list[tuple[WatchedRoot, FolderEvent]] = []
        self._busy = self._has_due_work()
        try:
            taken.append(self._events.get(timeout=max(wait_s, 0.001)))
            self._busy = True
            while len(taken) < EVENTS_PER_ROUND:
                taken.append(self._events.get_nowait())
        except queue.Empty:
            self._busy = True
        gone: list[str] = []
        for root, event in taken:
            if event.kind is EventKind.FILE_GONE or self._is_no_file(event):
                root.debouncer.forget(event.path)
                gone.append(event.path)
                continue
            self._mark_missing(gone)
            gone = []
            self._handle_event(root, event)
        self._mark_missing(gone)
        for root in self.roots:
            if root.lost_events:
                root.lost_events = False
                log.warning("too many events at once; scanning", folder=root.path)
                root.debouncer.touch_everything(time.monotonic())

    def _has_due_work(self) -> bool:
        now = time.monotonic()
        return any(
            root.debouncer.wait_s(now) is not None or root.next_scan <= now or root.lost_events
            for root in self.roots
        )

    def _handle_event(self, root: WatchedRoot, event: FolderEvent) -> None:
        now = time.monotonic()
        match event.kind:
            case EventKind.FILE_CHANGED:
                root.debouncer.touch(event.path, now)
            case EventKind.FILE_MOVED:
                root.debouncer.forget(event.path)
                self._rename(root, event.path, event.destination)
                root.debouncer.touch(event.destination, now)
                self._mark_missing([event.destination])  # a link or a pipe may have taken a photo's place
            case EventKind.FOLDER_GONE:
                root.debouncer.forget_folder(event.path)
                self._mark_folder_missing(root, event.path)
            case EventKind.FOLDER_MOVED:
                root.debouncer.forget_folder(event.path)
                with self._library.writing() as session:
                    renames.move_folder(session, event.path, event.destination, root.root_id)
                root.debouncer.touch_folder(event.destination, now)
            case EventKind.RESCAN:
                root.debouncer.touch_folder(event.path, now)
            case EventKind.OVERFLOW:
                log.warning("events were lost; scanning", folder=root.path)
                self._sidecar_monitor.request_full_check()
                root.debouncer.touch_everything(now)
            case EventKind.ERROR:
                log.warning("watching failed; scanning", folder=root.path, reason=event.reason)
                root.next_scan = min(root.next_scan, now + RESCAN_AFTER_ERROR_S)

    def _rename(self, root: WatchedRoot, old: str, new: str) -> None:
        found = find_file(self._state.probe, new)
        with self._library.writing() as session:
            photo_id = photo_paths.find_photo(session, old)
            if photo_id is not None:
                renames.move_photo(session, photo_id, new, root.root_id)
                if found is not None:
                    photo_records.record_rename(session, photo_id, found)
                # Later: programs that rename photos rename their sidecars a moment afterwards.
                now = self._state.clock()
                jobs.enqueue(session, [photo_id], "rate", now, delay_s=SIDECAR_RENAME_S)

    def _mark_missing(self, paths: list[str]) -> None:
        # An event is a hint: the file may have come back since.
        paths = [path for path in paths if not self._may_exist(path)]
        if not paths:
            return
        with self._library.writing() as session:
            found = [
                photo_id for path in paths if (photo_id := photo_paths.find_photo(session, path)) is not None
            ]
            gone_copies.mark_gone(session, found, self._state.clock())

    def _mark_folder_missing(self, root: WatchedRoot, folder: str) -> None:
        # Only watchers report this, and they watch local disks. A link in its place is not entered.
        if is_folder(folder):
            root.debouncer.touch_folder(folder, time.monotonic())
            return
        with self._library.writing() as session:
            gone_copies.mark_gone(session, photo_paths.present_under(session, folder), self._state.clock())

    def _is_no_file(self, event: FolderEvent) -> bool:
        """Return whether the path of a changed file holds no file: nothing, a link or a pipe."""
        return event.kind is EventKind.FILE_CHANGED and not self._may_exist(event.path)

    def _may_exist(self, path: str) -> bool:
        return self._state.probe.call_or(path, lambda: found_file(path) is not None, default=True)
