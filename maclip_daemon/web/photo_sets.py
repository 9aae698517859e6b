"""Ordered sets of photos: the first page comes at once, the whole order of a million follows in a thread."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from maclip_daemon.library.queries import review_photos
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.storage.database import Library

FIRST_PAGE = 500  # photos that are looked up at once
SMALL_SET = 5000  # photos; the order of a larger set is read after the first pictures
FIRST_REST_S = 1.5  # before it is, unless somebody waits for it
AT_ONCE_S = 0.1  # a set that is whole within this time needs no first page
KEPT_SETS = 4  # of the filters used last; a million ids take 8 MB


@dataclass
class PhotoSet:
    """The photos of one filter, in its order, as they were when it was first used."""

    chosen: PhotoFilter
    ids: array[int] = field(default_factory=lambda: array("q"))
    rated: set[int] = field(default_factory=set)
    """Those that the person has rated."""
    decided: dict[int, bool] = field(default_factory=dict)
    """Whether photos are rated that were decided while the set was read: that began before."""
    is_begun: threading.Event = field(default_factory=threading.Event)
    """Whether it is whole, or known to be large."""
    is_whole: threading.Event = field(default_factory=threading.Event)
    is_urgent: threading.Event = field(default_factory=threading.Event)
    """Whether somebody waits for all of it."""
    problem: BaseException | None = None


class PhotoSets:
    """The sets of the last filters. Thread-safe."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._sets: OrderedDict[PhotoFilter, PhotoSet] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, chosen: PhotoFilter, *, renew: bool = False) -> PhotoSet:
        """Return the set of a filter, which may not be whole yet. `renew`: look again."""
        with self._lock:
            found = None if renew else self._sets.get(chosen)
            if found is None:
                found = PhotoSet(chosen)
                self._sets[chosen] = found
                threading.Thread(target=self._fill, args=(found,), name="photo set", daemon=True).start()
            self._sets.move_to_end(chosen)
            while len(self._sets) > KEPT_SETS:
                self._sets.popitem(last=False)
        found.is_begun.wait(AT_ONCE_S)
        if found.problem is not None:
            with self._lock:
                self._sets.pop(chosen, None)
            raise found.problem
        return found

    def page(self, found: PhotoSet, offset: int, count: int) -> Sequence[int]:
        """Return the ids from `offset` on; waits for the whole set unless it is the first page."""
        if not found.is_whole.is_set() and offset + count <= FIRST_PAGE:
            with self._library.snapshot() as snapshot:
                first, rated = review_photos.ids(snapshot, found.chosen, offset + count)
            found.rated |= rated
            return first[offset:]
        found.is_urgent.set()
        found.is_whole.wait()
        return found.ids[offset : offset + count]

    def record(self, photo_id: int, *, is_rated: bool) -> None:
        """Let the sets know what was decided, for their progress."""
        with self._lock:
            for each in self._sets.values():
                each.decided[photo_id] = is_rated
                _settle(each.rated, {photo_id: is_rated})

    def _fill(self, found: PhotoSet) -> None:
        try:
            with self._library.snapshot() as snapshot:
                ids, rated = review_photos.ids(snapshot, found.chosen, SMALL_SET)
            if len(ids) == SMALL_SET:
                found.is_begun.set()
                found.is_urgent.wait(FIRST_REST_S)
                with self._library.snapshot() as snapshot:
                    ids, rated = review_photos.ids(snapshot, found.chosen)
            with self._lock:
                _settle(rated, found.decided)
                found.ids, found.rated = ids, rated
                found.is_whole.set()
        except Exception as error:  # noqa: BLE001 - raised again by whoever asks for the set
            found.problem = error
        finally:
            found.is_whole.set()
            found.is_begun.set()


def _settle(rated: set[int], decided: dict[int, bool]) -> None:
    rated |= {photo_id for photo_id, is_rated in decided.items() if is_rated}
    rated -= {photo_id for photo_id, is_rated in decided.items() if not is_rated}
