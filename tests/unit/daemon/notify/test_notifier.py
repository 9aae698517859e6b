"""What is told, and when: one notification an import, one for trouble, and the pings around them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import pytest
from pydantic import SecretStr

from maclip_daemon.daemon.notify.import_tracker import LOOK_AGAIN_S, ImportTracker
from maclip_daemon.daemon.notify.notifier import Notifier
from maclip_daemon.errors import EnvironmentUnfit, ProgramReplaced, Transient
from maclip_daemon.library.queries.finished_imports import ImportSummary
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.database_errors import DatabaseBusy, DatabaseFull
from maclip_daemon.pipeline.run import Pipeline
from maclip_daemon.pipeline.waits import Resource
from maclip_daemon.settings import NotifySettings, Settings
from tests.rated_library import RatedLibrary

QUIET_S = 120.0


class Desk:
    """A notifier, a library, and a run whose work and clocks the test moves."""

    def __init__(self, library: Library, folder: Path, **notify: Any) -> None:
        self.rated = RatedLibrary(folder, library)
        self.settings = Settings(notify=NotifySettings(**notify))
        self.now = 50.0
        self.jobs = 0
        self.notifier = Notifier(lambda: self.now)
        self.notifier._imports = ImportTracker(lambda: self.now, lambda: self.now)
        self.told: list[tuple[str, str]] = []
        self.pings: list[tuple[str, str]] = []
        # The threads are tested beside a real server.
        self.notifier._notices.put = lambda notice: self.told.append((notice.title, notice.body))  # type: ignore[method-assign]
        self.notifier._pings.put = lambda ping: self.pings.append((ping.kind, ping.text))  # type: ignore[method-assign]
        self.restart()

    def restart(self) -> None:
        """Begin another run, as after a reload."""
        state = RatedLibrary(self.rated.folder, self.rated.library).state
        state.clock, state.began_at = lambda: self.rated.now, self.rated.now
        state.began_since_boot_s = self.now
        self.run = SimpleNamespace(
            settings=self.settings,
            library=self.rated.library,
            state=state,
            discovery=SimpleNamespace(is_idle=True),
            waiting=lambda: {"score": self.jobs, "rate": 0},
        )
        self.notifier.begin(self.settings)

    @property
    def pipeline(self) -> Pipeline:
        return cast("Pipeline", self.run)

    def look(self, after_s: float = 2.0) -> None:
        self.now += after_s
        self.rated.now += after_s
        self.notifier.update(self.pipeline)

    def rate(self, stars: list[int]) -> None:
        """Let the run score and rate photos."""
        for number, each in enumerate(stars):
            photo = self.rated.add(f"{self.rated.now}-{number}.jpg")
            self.rated.write(
                f"update photos set rating_owner = 'maclip', stars_written = {each} where id = {photo}"
            )
        self.run.state.count(scored=len(stars), rated=len(stars))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with contextlib.closing(Library.open(tmp_path / "library.db")) as library:
        yield library


@pytest.fixture
def desk(library: Library, tmp_path: Path) -> Desk:
    return Desk(
        library,
        tmp_path / "photos",
        urls=["json://localhost"],
        health_url=SecretStr("http://localhost/ping"),
        minimum_photos=3,
    )


def test_photos_that_trickle_in_are_one_import(desk: Desk) -> None:
    for _ in range(6):
        desk.look()
        desk.rate([5, 1])
        desk.look(after_s=QUIET_S - 5)
    assert desk.told == []
    desk.look(after_s=QUIET_S)
    sentence = "12 photos rated, 6 five-star, 6 weak"
    assert desk.told == [("maclip: import finished", f"{sentence}. `maclip worst` lists the shots to cull.")]
    desk.look(after_s=QUIET_S)
    assert len(desk.told) == 1
    assert [kind for kind, _ in desk.pings] == ["start", "success", "start", "success"]
    assert desk.pings[-1] == ("success", sentence)


def test_a_few_photos_are_not_told_but_the_checker_learns_of_them(desk: Desk) -> None:
    desk.rate([3, 3])
    desk.look()
    desk.look(after_s=QUIET_S)
    assert desk.told == []
    assert desk.pings[-1] == ("success", "2 photos rated")


@pytest.mark.parametrize("set_by_s", [8 * 365 * 86_400.0, -7200.0])
@pytest.mark.parametrize("has_begun", [False, True])
def test_an_import_counts_its_own_photos_though_the_clock_is_set(
    desk: Desk, set_by_s: float, has_begun: bool
) -> None:
    desk.rate([3, 3, 3, 3])
    desk.rated.now += 3 * 365 * 86_400.0  # the photos of earlier years
    desk.restart()
    desk.look()
    if has_begun:
        desk.rate([5])
        desk.look()
    desk.rated.now += set_by_s
    desk.look()
    desk.rate([1, 1, 1])
    desk.look()
    desk.look(after_s=QUIET_S)
    ((_, body),) = desk.told
    # Of what was scored before the clock was set forward nothing is known.
    assert body.startswith("4 photos rated" if has_begun and set_by_s < 0 else "3 photos rated")


def test_an_import_whose_beginning_could_not_be_stored_is_remembered_at_the_next_look(
    desk: Desk, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.look()
    desk.rate([3, 3, 3])
    with monkeypatch.context() as locked:
        locked.setattr(library, "writing", busy)
        desk.look()
    desk.look()
    desk.restart()
    successor = Desk(library, desk.rated.folder, urls=["json://localhost"], minimum_photos=3)
    successor.rated.now = desk.rated.now
    successor.restart()
    successor.look()
    successor.look(after_s=QUIET_S)
    assert [body.partition(".")[0] for _, body in successor.told] == ["3 photos rated"]


def test_a_pass_that_ends_while_the_library_is_locked_has_done_its_work(
    desk: Desk, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.look()
    desk.rate([3, 3, 3])
    desk.look()
    monkeypatch.setattr(library, "writing", busy)
    desk.notifier.finish(desk.pipeline)
    assert desk.pings[-1] == ("success", "3 photos rated")


def busy(_timeout_s: float) -> NoReturn:
    raise DatabaseBusy("Another program holds the library.")


def test_an_import_is_not_finished_while_photos_wait(desk: Desk) -> None:
    desk.rate([3, 3, 3])
    desk.jobs = 4
    desk.look()
    desk.look(after_s=QUIET_S)
    desk.look(after_s=QUIET_S)
    assert desk.told == []
    desk.jobs = 0
    desk.look(after_s=LOOK_AGAIN_S)
    assert len(desk.told) == 1


def test_a_restart_in_between_makes_no_two_imports_of_one(desk: Desk, library: Library) -> None:
    desk.rate([3, 3, 3])
    desk.look()
    desk.restart()
    desk.look()
    desk.rate([5])
    desk.look()
    # The daemon itself is restarted, too.
    successor = Desk(library, desk.rated.folder, urls=["json://localhost"], minimum_photos=3)
    successor.rated.now = desk.rated.now
    successor.restart()
    successor.look()
    successor.look(after_s=QUIET_S)
    assert [body.partition(".")[0] for _, body in successor.told] == ["4 photos rated, 1 five-star"]


def test_a_single_pass_tells_at_its_end(desk: Desk) -> None:
    desk.look()
    desk.rate([3, 3, 3])
    desk.notifier.finish(desk.pipeline)
    assert len(desk.told) == 1
    assert desk.pings[-1] == ("success", "3 photos rated")


def test_trouble_is_told_and_the_checker_learns_of_its_end(desk: Desk) -> None:
    desk.look()
    desk.run.state.waits.begin(Resource("full disk", 7), "The disk of /photos is full.")
    desk.look()
    desk.look()
    assert desk.told == [("maclip: a disk is full", "The disk of /photos is full.")]
    assert desk.pings[-1] == ("fail", "The disk of /photos is full.")
    desk.run.state.waits.end(Resource("full disk", 7))
    desk.look()
    assert desk.pings[-1] == ("success", "waiting for photos")


def test_only_chosen_events_are_told(library: Library, tmp_path: Path) -> None:
    desk = Desk(library, tmp_path / "photos", urls=["json://localhost"], events=["finished"])
    desk.run.state.waits.begin(Resource("full disk", 7), "The disk of /photos is full.")
    desk.look()
    desk.notifier.end(EnvironmentUnfit("It cannot work."))
    assert (desk.told, desk.pings) == ([], [])


def test_a_library_that_cannot_be_written_is_told_once(desk: Desk) -> None:
    for _ in range(3):
        desk.notifier.pause(DatabaseFull("No space."))
    desk.notifier.pause(Transient("It is locked."))
    assert desk.told == [("maclip: a disk is full", "No space."), ("maclip cannot work", "It is locked.")]
    assert desk.pings[-2:] == [("fail", "No space."), ("fail", "It is locked.")]


def test_the_end_is_told_unless_it_was_wanted(desk: Desk) -> None:
    desk.notifier.end(None)
    desk.notifier.end(ProgramReplaced("It was updated."))
    assert desk.told == []
    desk.notifier.end(EnvironmentUnfit("The model is gone."))
    assert desk.told == [("maclip has stopped", "The model is gone.")]


def test_an_idle_daemon_stays_alive_for_the_checker(desk: Desk) -> None:
    for _ in range(10):
        desk.look(after_s=desk.settings.notify.health_interval_s / 4)
    assert [kind for kind, _ in desk.pings] == ["start", "success", "success", "success"]


def test_without_an_address_nothing_is_read_or_told(library: Library, tmp_path: Path) -> None:
    desk = Desk(library, tmp_path / "photos")
    desk.run.waiting = lambda: pytest.fail("the library is asked")
    desk.rate([1, 1, 1])
    desk.look()
    desk.look(after_s=2 * QUIET_S)
    assert (desk.told, desk.pings) == ([], [])


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (ImportSummary(1204, 1204, 38, 61, 0, 2), "1 204 photos rated, 38 five-star, 61 weak, 2 failed"),
        (ImportSummary(1, 1, 0, 0, 0, 0), "1 photo rated"),
        (ImportSummary(12, 0, 0, 0, 0, 0), "12 photos scored"),
        (ImportSummary(4, 3, 0, 0, 1, 0), "3 photos rated, 1 left with your own rating"),
        (ImportSummary(2, 1, 0, 0, 0, 0), "1 photo rated, 1 without stars (`maclip status` says why)"),
        (ImportSummary(0, 0, 0, 0, 0, 7), "7 photos failed"),
    ],
)
def test_the_sentence_of_an_import(found: ImportSummary, sentence: str) -> None:
    assert found.sentence() == sentence
