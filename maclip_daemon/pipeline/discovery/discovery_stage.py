"""Finding photos: events and scans become sightings, sightings become jobs. One thread for all roots."""

from __future__ import annotations

import functools
import os
import queue
import threading
import time

from maclip_daemon.files.paths import is_below
from maclip_daemon.folders.events import EventKind, FolderEvent
from maclip_daemon.folders.scanner import found_file
from maclip_daemon.library.photos import missing_photos, renames
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.pipeline.discovery.reconciliation import record
from maclip_daemon.pipeline.discovery.watched_root import WatchedRoot
from maclip_daemon.pipeline.file_stability import look
from maclip_daemon.pipeline.rating.external_edits import SidecarMonitor
from maclip_daemon.pipeline.run_state import RunState, log

PENDING_EVENTS = 10_000  # beyond that a scan of the root is cheaper than following each event
EVENTS_IN_ONE_GO = 1000  # before settled files get their turn
AFTER_ERROR_S = 5.0  # a watcher that keeps failing must not cost the processor
SIDECARS_FOLLOW_S = 10.0
HEARTBEAT_TIMEOUT_S = 60.0  # on top of the time it means to sleep


class DiscoveryStage:
    """Watches and scans the places, and writes what it finds into the library."""

    def __init__(
        self,
        library: Library,
        state: RunState,
        places: list[WatchedRoot],
        sidecar_monitor: SidecarMonitor,
        *,
        once: bool,
    ) -> None:
        """`once`: every place is scanned a single time and nothing is watched."""
        self._library = library
        self._state = state
        self._places = places
        self._sidecar_monitor = sidecar_monitor
        self._once = once
        self._events: queue.Queue[tuple[WatchedRoot, FolderEvent]] = queue.Queue(PENDING_EVENTS)
        self._busy = True
        self.first_scan_began = threading.Event()

    @property
    def is_idle(self) -> bool:
        """Whether everything that was found so far is in the library."""
        return not self._busy and self._events.empty()

    def run(self) -> None:
        """Work until the run stops."""
        for place in self._places:
            place.next_scan = time.monotonic()
        try:
            while not self._state.stopping.is_set():
                self._scan_what_is_due()
                self._take_settled()
                self._take_events(self._sleep_s())
        finally:
            for place in self._places:
                place.close()

    def on_event(self, place: WatchedRoot, event: FolderEvent) -> None:
        """Take an event from a watcher's thread. Never blocks: the watcher holds its lock meanwhile."""
        about_photos = self._sidecar_monitor.on_event(event)
        if about_photos is None:
            return
        try:
            self._events.put_nowait((place, about_photos))
        except queue.Full:
            place.lost_events = True

    def is_offline(self, path: str) -> bool:
        """Whether the root of a photo cannot be read at the moment; its health is then looked at soon.

        Else the photo is: it may be being written, and its work waits until it is known to be whole.
        """
        for place in self._places:
            if is_below(path, place.root.path):
                if self._answers(path) and place.can_be_read():
                    self.on_event(place, FolderEvent(EventKind.FILE_CHANGED, path))
                    return False
                place.next_scan = time.monotonic()
                return True
        return False

    def _answers(self, path: str) -> bool:
        # Another file system may be mounted below the root.
        return self._state.probe.call_or(path, lambda: os.path.lexists(path), None) is not None

    def _scan_what_is_due(self) -> None:
        for place in self._places:
            if place.has_died():
                place.close_dead_watcher()
            if time.monotonic() < place.next_scan or self._state.stopping.is_set():
                continue
            self.first_scan_began.set()
            if place.check():
                # Before the scan, so that nothing falls between them.
                listens_anew = not self._once and place.listen(self.on_event)
                report = place.scan()
                if listens_anew or report.returned:
                    self._sidecar_monitor.request_full_check()
                log.info(
                    "folder scanned",
                    folder=place.root.path,
                    photos=report.files,
                    queued=report.queued,
                    moved=report.moved,
                    missing=report.missing,
                )
            place.next_scan = float("inf") if self._once else time.monotonic() + place.scan_interval_s()

    def _take_settled(self) -> None:
        for place in self._places:
            # What does not answer does not settle; the scan after its return finds it.
            due = place.debouncer.due(time.monotonic(), functools.partial(look, self._state.probe))
            if place.is_paused:
                continue  # all of it is missing; the scan after its return finds what is there
            if due.everything:
                place.next_scan = time.monotonic()
            sightings = record(self._library, self._state, place.root_id, due.files)
            if any(sighting.change == "returned" for sighting in sightings):
                place.queue_ratings_of_returned()
            for folder in due.folders:
                if place.check():
                    place.scan(folder)

    def _sleep_s(self) -> float:
        now = time.monotonic()
        waits = [max(0.0, place.next_scan - now) for place in self._places]
        waits += [wait for place in self._places if (wait := place.debouncer.wait_s(now)) is not None]
        # In one go there is little to wait for, and a stop must be noticed soon in any case.
        return min([*waits, 0.2 if self._once else 1.0])

    def _take_events(self, wait_s: float) -> None:
        self._state.heartbeat.beat("folders", wait_s + HEARTBEAT_TIMEOUT_S)
        taken: list[tuple[WatchedRoot, FolderEvent]] = []
        self._busy = self._has_more_to_do()
        try:
            taken.append(self._events.get(timeout=max(wait_s, 0.001)))
            self._busy = True
            while len(taken) < EVENTS_IN_ONE_GO:
                taken.append(self._events.get_nowait())
        except queue.Empty:
            self._busy = True
        gone: list[str] = []
        for place, event in taken:
            if event.kind is EventKind.FILE_GONE or self._has_turned_into_none(event):
                place.debouncer.forget(event.path)
                gone.append(event.path)
                continue
            self._lose(gone)
            gone = []
            self._take_event(place, event)
        self._lose(gone)
        for place in self._places:
            if place.lost_events:
                place.lost_events = False
                log.warning("too many events at once; scanning", folder=place.root.path)
                place.debouncer.touch_everything(time.monotonic())

    def _has_more_to_do(self) -> bool:
        now = time.monotonic()
        return any(
            place.debouncer.wait_s(now) is not None or place.next_scan <= now or place.lost_events
            for place in self._places
        )

    def _take_event(self, place: WatchedRoot, event: FolderEvent) -> None:
        now = time.monotonic()
        match event.kind:
            case EventKind.FILE_CHANGED:
                place.debouncer.touch(event.path, now)
            case EventKind.FILE_MOVED:
                place.debouncer.forget(event.path)
                self._rename(place, event.path, event.destination)
                place.debouncer.touch(event.destination, now)
                self._lose([event.destination])  # a link or a pipe may have taken a photo's place
            case EventKind.FOLDER_GONE:
                place.debouncer.forget_folder(event.path)
                self._lose_folder(place, event.path)
            case EventKind.FOLDER_MOVED:
                place.debouncer.forget_folder(event.path)
                with self._library.writing() as session:
                    renames.move_folder(session, event.path, event.destination, place.root_id)
                place.debouncer.touch_folder(event.destination, now)
            case EventKind.RESCAN:
                place.debouncer.touch_folder(event.path, now)
            case EventKind.OVERFLOW:
                log.warning("events were lost; scanning", folder=place.root.path)
                self._sidecar_monitor.request_full_check()
                place.debouncer.touch_everything(now)
            case EventKind.ERROR:
                log.warning("watching failed; scanning", folder=place.root.path, reason=event.reason)
                place.next_scan = min(place.next_scan, now + AFTER_ERROR_S)

    def _rename(self, place: WatchedRoot, old: str, new: str) -> None:
        with self._library.writing() as session:
            photo_id = photo_paths.find_photo(session, old)
            if photo_id is not None:
                renames.move_photo(session, photo_id, new, place.root_id)
                # Later: whoever renames photos renames their sidecars too, a moment afterwards.
                jobs.enqueue(session, [photo_id], "rate", self._state.clock() + SIDECARS_FOLLOW_S)

    def _lose(self, paths: list[str]) -> None:
        # An event is a hint: the same name may be there again by now.
        paths = [path for path in paths if not self._may_be_there(path)]
        if not paths:
            return
        with self._library.writing() as session:
            found = [
                photo_id for path in paths if (photo_id := photo_paths.find_photo(session, path)) is not None
            ]
            missing_photos.mark_missing(session, found, self._state.clock())

    def _lose_folder(self, place: WatchedRoot, folder: str) -> None:
        if os.path.lexists(folder):  # only watchers tell of that, and they watch local disks
            place.debouncer.touch_folder(folder, time.monotonic())
            return
        with self._library.writing() as session:
            missing_photos.mark_missing(
                session, photo_paths.present_under(session, folder), self._state.clock()
            )

    def _has_turned_into_none(self, event: FolderEvent) -> bool:
        """Whether what is at the path by now is no file: nothing, or a link or a pipe instead of a photo."""
        return event.kind is EventKind.FILE_CHANGED and not self._may_be_there(event.path)

    def _may_be_there(self, path: str) -> bool:
        return self._state.probe.call_or(path, lambda: found_file(path) is not None, default=True)
