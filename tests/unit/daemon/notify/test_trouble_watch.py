"""Trouble is told once, when it lasts, and again only after an hour."""

from __future__ import annotations

from maclip_daemon.daemon.notify.trouble_watch import FOLDER_AFTER_S, TELL_AGAIN_S, Trouble, TroubleWatch
from maclip_daemon.pipeline.waits import MODEL, PAUSE, POWER, Resource, Wait

FOLDER, DISK = Resource("root", "/photos"), Resource("full disk", 7)


class Desk:
    def __init__(self) -> None:
        self.now = 5.0
        self.watch = TroubleWatch(lambda: self.now)

    def look(self, *resources: Resource, after_s: float = 2.0) -> list[Trouble]:
        self.now += after_s
        return self.watch.update(
            [Wait.of(each, f"{each} is missing.", since=None, until=None) for each in resources]
        )


def test_a_full_disk_is_told_at_once_and_only_once() -> None:
    desk = Desk()
    assert desk.look(DISK) == [Trouble("disk", "disk 7 is missing.")]
    assert desk.look(DISK, after_s=2 * TELL_AGAIN_S) == []
    assert desk.watch.stops_work


def test_a_folder_is_told_after_a_minute() -> None:
    desk = Desk()
    assert desk.look(FOLDER) == []
    assert desk.look(FOLDER, after_s=FOLDER_AFTER_S) == [Trouble("folder", "root /photos is missing.")]
    assert not desk.watch.stops_work


def test_a_folder_that_comes_back_sooner_is_not_told() -> None:
    desk = Desk()
    for _ in range(5):
        assert desk.look(FOLDER) == []
        assert desk.look(FOLDER, after_s=FOLDER_AFTER_S - 1) == []
        assert desk.look() == []


def test_trouble_that_comes_and_goes_is_told_once_an_hour() -> None:
    desk = Desk()
    assert len(desk.look(MODEL)) == 1
    assert desk.look() == []
    assert not desk.watch.stops_work
    assert desk.look(MODEL) == []
    assert desk.watch.stops_work
    assert desk.look() == []
    assert len(desk.look(MODEL, after_s=TELL_AGAIN_S)) == 1


def test_trouble_that_returns_within_the_hour_and_stays_is_told_after_it() -> None:
    desk = Desk()
    desk.look(FOLDER)
    assert len(desk.look(FOLDER, after_s=FOLDER_AFTER_S)) == 1
    assert desk.look() == []
    told = [desk.look(FOLDER, after_s=60.0) for _ in range(2 * 60)]
    assert sum(map(len, told)) == 1


def test_what_a_person_wanted_is_no_trouble() -> None:
    assert Desk().look(PAUSE, POWER, Resource("retry", "3 score jobs")) == []
