"""The first photos are read and begun before the rest of the page is loaded, and wait for none of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.types import ASGIApp

from maclip_daemon.errors import DatabaseUnfit
from maclip_daemon.library.storage import notes
from maclip_daemon.library.storage.database import Library
from maclip_daemon.web.opening import first_window, later_app
from maclip_daemon.web.opening.first_window import FirstWindow
from maclip_daemon.web.opening.later_app import LaterApp
from maclip_daemon.web.opening.review_scope import PLACE_NOTE, ReviewScope
from maclip_daemon.web.preview_queue import PreviewQueue, WantedPreview
from tests.rated_library import RatedLibrary

PHOTOS = 130


@pytest.fixture
def rated(tmp_path: Path) -> Iterator[RatedLibrary]:
    """Photos whose scores grow with their numbers."""
    with Library.open(tmp_path / "data" / "library.db") as library:
        rated = RatedLibrary(tmp_path / "photos", library)
        rated.add("IMG_000.jpg", score=0.0)
        rated.write(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 129)"
            " INSERT INTO photos (folder_id, file_name, device, inode, size, mtime_ns, first_seen_at)"
            " SELECT folder_id, printf('IMG_%03d.jpg', i), device, inode, size, mtime_ns, first_seen_at"
            " FROM photos, n"
        )
        rated.write(
            "INSERT INTO scores (photo_id, folder_id, scoring_config_id, score, views, scored_at)"
            " SELECT id, folder_id, 1, id / 1000.0, 5, first_seen_at FROM photos WHERE id > 1"
        )
        yield rated


def window(rated: RatedLibrary, query: str = "", worst: int | None = None) -> FirstWindow | None:
    with rated.library.snapshot() as snapshot:
        return first_window.read(snapshot, ReviewScope(query=query, worst=worst))


def names(found: FirstWindow | None) -> list[str]:
    assert found is not None
    return [row.path.rpartition("/")[2] for row in found.rows]


def test_the_page_holds_the_first_photos_of_its_filter(rated: RatedLibrary) -> None:
    found = window(rated)
    assert names(found) == [f"IMG_{number:03}.jpg" for number in range(first_window.ROWS)]
    assert found is not None
    assert (found.total, found.offset, len(found.drawn)) == (None, 0, first_window.DRAWN)
    best = window(rated, "order=best", worst=3)
    assert names(best)[0] == "IMG_129.jpg"
    assert best is not None
    assert best.total == 3


def test_the_page_begins_where_the_person_was(rated: RatedLibrary) -> None:
    with rated.library.writing() as session:
        notes.put_note(session, PLACE_NOTE, {"scope": ReviewScope().text, "at": "order=worst&at=120"}, 0.0)
    found = window(rated)
    assert names(found) == [f"IMG_{number:03}.jpg" for number in range(100, PHOTOS)]
    assert found is not None
    assert (found.place, found.total, found.drawn) == (120, PHOTOS, [])
    assert window(rated, "at=499") is None, "no photo is there any more: the page asks"
    assert window(rated, "at=70000") is None, "too far for the first moment"
    assert window(rated, "stars=9") is None, "the page asks, and says what is wrong"


class Queue(PreviewQueue):
    """Keeps what is begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def prepare(self, wanted: WantedPreview) -> None:
        self.begun.append(f"{wanted.path.rpartition('/')[2]} {wanted.kind}")


@pytest.mark.parametrize(("place", "first"), [(0, 0), (29, 0), (60, 45), (120, 105)])
def test_the_pictures_in_view_are_begun_before_the_browser_asks(
    rated: RatedLibrary, place: int, first: int
) -> None:
    found = window(rated, f"at={place}")
    assert found is not None
    queue = Queue()
    found.begin_pictures(queue)
    assert queue.begun[0] == f"IMG_{first:03}.jpg grid"
    assert f"IMG_{place:03}.jpg grid" in queue.begun


class Made(PreviewQueue):
    """Has the pictures of some photos."""

    def __init__(self, *names: str) -> None:
        self._names = names

    def made(self, wanted: WantedPreview) -> bytes | None:
        assert wanted.kind == "grid"
        return b"a picture" if wanted.path.rpartition("/")[2] in self._names else None


def test_pictures_that_are_made_already_come_with_the_page(rated: RatedLibrary) -> None:
    found = window(rated)
    assert found is not None
    queue = Made("IMG_000.jpg", "IMG_004.jpg", "IMG_029.jpg")
    assert found.made_pictures(queue) == {found.rows[0].id: b"a picture", found.rows[4].id: b"a picture"}
    further = window(rated, "at=60")
    assert further is not None
    assert further.made_pictures(Made("IMG_060.jpg")) == {}, "the scripts draw these"


def later(load: object) -> tuple[LaterApp, list[str]]:
    failed: list[str] = []
    return LaterApp(
        lambda: cast("ASGIApp", load() if callable(load) else load), lambda: failed.append("")
    ), failed


def in_a_loop(work: Coroutine[Any, Any, Any]) -> Any:
    """Run in a loop of its own, in a thread: a test before may have left a browser's loop in this one."""
    with ThreadPoolExecutor() as threads:
        return threads.submit(asyncio.run, work).result()


def test_the_rest_is_loaded_once_and_by_the_first_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(later_app, "AT_LATEST_S", 3600.0)
    loads: list[str] = []

    async def both() -> list[ASGIApp | None]:
        app, _ = later(lambda: loads.append("load") or "rest")
        app.start()
        assert app.app is None
        found = await asyncio.gather(app.loaded(), app.loaded())
        app.end()
        return list(found)

    assert in_a_loop(both()) == ["rest", "rest"]
    assert loads == ["load"]


def test_what_keeps_the_rest_from_loading_ends_the_page() -> None:
    def damaged() -> None:
        raise DatabaseUnfit("The library is damaged.")

    async def waits() -> None:
        app, failed = later(damaged)
        app.start()
        assert await app.loaded() is None
        with pytest.raises(DatabaseUnfit):
            app.end()
        assert failed == [""]

    in_a_loop(waits())


def test_the_end_of_the_page_waits_for_no_request_and_loads_nothing_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(later_app, "AT_LATEST_S", 3600.0)
    goes_on = threading.Event()

    async def waits() -> None:
        slow, _ = later(lambda: goes_on.wait(60) and "rest")
        slow.start()
        waiting = asyncio.ensure_future(slow.loaded())
        await asyncio.sleep(0)
        slow.give_up()
        assert await waiting is None
        goes_on.set()
        slow.end()

    in_a_loop(waits())

    async def never() -> None:
        idle, _ = later(lambda: pytest.fail("loaded"))
        idle.start()
        idle.end()

    in_a_loop(never())


def test_the_first_photos_need_neither_sqlalchemy_nor_numpy() -> None:
    loaded = "import sys, maclip_daemon.web.opening.first_pictures, maclip_daemon.web.review_server"
    heavy = "{'sqlalchemy', 'alembic', 'numpy', 'PIL', 'structlog', 'pyexiv2'}"
    subprocess.run(
        [sys.executable, "-c", f"{loaded}; found = {heavy} & set(sys.modules); assert not found, found"],
        check=True,
    )
