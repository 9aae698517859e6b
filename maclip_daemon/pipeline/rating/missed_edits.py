"""Find rating files that changed while no daemon ran, or while events were lost."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from maclip_daemon.errors import MaclipError, NoAnswer
from maclip_daemon.files import safe_writer
from maclip_daemon.library.photos import photo_records, raw_jpeg_pairs
from maclip_daemon.library.queue import jobs
from maclip_daemon.library.results import written_files
from maclip_daemon.library.storage.database import Library, Session
from maclip_daemon.metadata.content import xmp_text
from maclip_daemon.metadata.sidecars import sidecar_names
from maclip_daemon.pipeline.rating.deleted_sidecars import DeletedSidecars
from maclip_daemon.pipeline.run_state import RunState

FILES_PER_HEARTBEAT = 2000  # some stats each
HEARTBEAT_TIMEOUT_S = 300.0  # a sleeping network disk takes its time
TIMESTAMP_SLACK_S = 1.0  # a server's clock may be ahead; a file that is newer by less is compared by content
CLOCK_TICK_S = 0.05  # the time of a file is no more exact


class _OfPhoto(Protocol):
    @property
    def photo_id(self) -> int: ...


_Row = TypeVar("_Row", bound=_OfPhoto)
_Result = TypeVar("_Result")


class _Times(NamedTuple):
    """When files last changed, in Unix seconds; 0 for none."""

    written: float
    """The content of the file that we wrote last; other programs may set it. Its folder where it is gone."""
    touched: float
    """That file in any way, or its photo: a rename, for one; 0 where it is gone."""
    beside: float
    """Another sidecar of the same photo, or of a file of its shot, in any way."""


_NOT_READABLE = _Times(0.0, 0.0, 0.0)


class MissedEdits:
    """The check of all rating files of the library. Owned by the rating thread."""

    def __init__(self, library: Library, state: RunState, deleted: DeletedSidecars) -> None:
        self._library = library
        self._state = state
        self._deleted = deleted
        self.is_complete = True
        """Whether the last check saw every file; a server that did not answer hides its own."""

    def queue(self) -> int:
        """Queue every photo whose rating file was changed since we last looked at it, or deleted.

        Return the count. Costs one to three stats a rated photo: for a start, and after lost events.
        """
        self.is_complete = True
        return self._queue_written() + self._queue_persons()

    def _pages(self, read: Callable[[Session, int, int], Sequence[_Row]]) -> Iterator[Sequence[_Row]]:
        """Yield all rows, some at a time, until the program stops. `read`: so many rows after this photo."""
        after = 0
        while not self._state.stopping.is_set():
            self._state.heartbeat.beat("rating", HEARTBEAT_TIMEOUT_S)
            with self._library.reading() as session:
                rows = read(session, after, FILES_PER_HEARTBEAT)
            if not rows:
                return
            after = rows[-1].photo_id
            yield rows

    def _queue_persons(self) -> int:
        """Queue the photos in whose sidecars a person wrote, where maclip never does.

        A time in the future (a wrong clock, FAT's local time) proves nothing until it has come; that of a
        look, of a clock that was ahead, is none. A sidecar that is gone takes nothing along: the library
        alone knows that rating then.
        """
        queued = 0
        for photos in self._pages(written_files.only_persons):
            began = self._state.clock()
            changed = [
                photo.photo_id
                for photo in photos
                if self._sidecars_changed_at(photo, began) - _when(photo.checked_at, began) > CLOCK_TICK_S
            ]
            if changed:
                with self._library.writing() as session:
                    jobs.enqueue(session, changed, "rate", self._state.clock())
                    photo_records.mark_checked(session, changed, began)
            queued += len(changed)
        return queued

    def _sidecars_changed_at(self, photo: written_files.PersonsPhoto, now: float) -> float:
        """Return when the sidecars of a photo changed last; 0 without one, or where nothing answers.

        A photo that was renamed to where a sidecar is has another one since then.
        """
        with contextlib.suppress(OSError):
            return self._ask(photo.path, lambda: _sidecars_changed_at(photo, now), 0.0)
        return 0.0

    def _queue_written(self) -> int:
        """Queue the photos whose file is not as we left it.

        A person's photo that we wrote to is among them: their next star may be in the file beside our copy,
        which would hide it.
        """
        queued = 0
        last_writes = functools.partial(written_files.last_writes, owners=written_files.MACLIPS_AND_PERSONS)
        for writes in self._pages(last_writes):
            with self._library.reading() as session:
                persons = [write.photo_id for write in writes if write.is_persons]
                partners = raw_jpeg_pairs.partners(session, persons)
            began = self._state.clock()
            times = {
                write.path: self._times_of(
                    write, [each.path for each in partners.get(write.photo_id, ())], began
                )
                for write in writes
            }
            newer, unchanged = self._newer(writes, times, began)
            if newer or unchanged:
                with self._library.writing() as session:
                    jobs.enqueue(session, newer, "rate", self._state.clock())
                    # The job may write nothing: without this it would be queued again at each start.
                    photo_records.mark_checked(session, [*unchanged, *newer], began)
            missing = [write for write in writes if times[write.path] is None and not write.is_persons]
            queued += len(newer) + len(self._deleted.queue(missing))
        return queued

    def _newer(
        self, writes: Sequence[written_files.WrittenFile], times: dict[str, _Times | None], now: float
    ) -> tuple[list[int], list[int]]:
        """Return the photos whose files were changed since our last write, and those that only look so.

        An edit may have brought an older time along (`rsync -t`, Syncthing), and a backup program may have
        touched every file: the time of the inode's change makes us look, and the content decides. So does
        that of the photo's: it may have been renamed to where another photo's file is, and the job that this
        queued went with its disk. It decides too where our write has the time of a clock that was ahead.
        What cannot be read now is in neither list.
        """
        changed, touched = set(), set()
        for write in writes:
            found = times[write.path]
            if found is None:
                continue
            checked_at = write.checked_at(now + TIMESTAMP_SLACK_S)
            age = _Times(*(each - (checked_at or 0.0) for each in found))
            newest_s = age.beside if checked_at is None else max(age.written, age.beside)
            if newest_s > TIMESTAMP_SLACK_S:
                changed.add(write.path)
            elif age.touched > CLOCK_TICK_S:
                touched.add(write.path)
        with self._library.reading() as session:
            ours = written_files.hashes_written(session, list(touched))
        verdicts = {path: self._is_changed(path, ours.get(path)) for path in touched}
        unchanged = {path for path, is_other in verdicts.items() if is_other is False}
        changed |= {path for path, is_other in verdicts.items() if is_other}
        return (
            [write.photo_id for write in writes if write.path in changed],
            [write.photo_id for write in writes if write.path in unchanged],
        )

    def _is_changed(self, path: str, ours: str | None) -> bool | None:
        return self._ask(path, lambda: is_changed(path, ours), None)

    def _ask(self, path: str, operation: Callable[[], _Result], default: _Result) -> _Result:
        """Return the result of an operation on a path; without an answer `default`, and note that."""
        try:
            return self._state.probe.call(path, operation)
        except NoAnswer:
            self.is_complete = False
            return default

    def _times_of(
        self, write: written_files.WrittenFile, partners: Sequence[str], now: float
    ) -> _Times | None:
        """Return when the rating files of a photo changed; None: its own is gone, 0: not readable now."""
        try:
            return self._ask(write.path, lambda: _times_of(write, partners, now), _NOT_READABLE)
        except FileNotFoundError:
            return None
        except OSError:
            return _NOT_READABLE


def _times_of(write: written_files.WrittenFile, partners: Sequence[str], now: float) -> _Times:
    """Return when a rating file, and the other sidecars of its photo and its `partners`, last changed.

    A change of the photo in the future (a wrong clock) proves nothing.
    Raises `FileNotFoundError` when the photo has no sidecar any more, `OSError`.
    """
    beside = 0.0
    for photo in (write.photo_path, *partners):
        for other in sidecar_names.usual_names(Path(photo)):
            if os.fspath(other) != write.path:
                with contextlib.suppress(FileNotFoundError):
                    beside = max(beside, _changed_at(other.lstat()))
    try:
        own = os.lstat(write.path)
    except FileNotFoundError:
        if not beside or write.path == write.photo_path:
            raise
        # The other sidecar counts now. It may be older than the moment at which ours was deleted.
        return _Times(Path(write.path).parent.stat().st_mtime, 0.0, beside)
    photo_changed_at = write.photo_changed_at if write.photo_changed_at <= now else 0.0
    return _Times(own.st_mtime, max(_changed_at(own), photo_changed_at), beside)


def _sidecars_changed_at(photo: written_files.PersonsPhoto, now: float) -> float:
    os.lstat(photo.path)  # without its photo a sidecar is nobody's
    times = [0.0]
    for sidecar in sidecar_names.usual_names(Path(photo.path)):
        with contextlib.suppress(FileNotFoundError):
            found = sidecar.lstat()
            times += [found.st_mtime, found.st_ctime, photo.photo_changed_at]
    return max(each for each in times if each <= now)


def _when(looked_at: float, now: float) -> float:
    """Return the time of a look; 0, as for none, where it is of a clock that was ahead."""
    return looked_at if looked_at <= now + TIMESTAMP_SLACK_S else 0.0


def _changed_at(found: os.stat_result) -> float:
    return max(found.st_mtime, found.st_ctime)


def is_changed(path: str, ours: str | None) -> bool | None:
    """Return whether a file has another content than the one we wrote (its hash; None: we wrote none).

    None where it cannot be read.
    """
    try:
        data, _ = safe_writer.read_regular(Path(path), xmp_text.SIZE_LIMIT)
    except (OSError, MaclipError):
        return None
    return safe_writer.digest(data) != ours
