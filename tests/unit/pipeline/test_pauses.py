"""Pauses: each belongs to the thing that is missing, lasts a while, and is said once."""

from __future__ import annotations

import pytest

from maclip_daemon.pipeline.pauses import AwayDisks, Pauses, PhotoDisk


def test_the_reason_of_a_pause_stays_until_work_succeeds() -> None:
    now = [100.0]
    pauses = Pauses(30, clock=lambda: now[0])
    pauses.begin("model", "gone")
    assert pauses.any_of("spool", "model")
    assert not pauses.any_of("spool")
    now[0] += 31
    assert not pauses.any_of("model")
    assert pauses.reasons() == {"model": "gone"}
    pauses.end("model")
    assert pauses.reasons() == {}


def test_a_full_disk_pauses_its_own_photos_only_and_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    pauses = Pauses(30, clock=lambda: now[0])
    pauses.begin(PhotoDisk(7), "The disk of /a/one is full.")
    pauses.begin(PhotoDisk(7), "The disk of /a/two is full.")
    assert capsys.readouterr().out.count("paused") == 1
    assert pauses.disks() == [7]
    assert pauses.reasons() == {"disk 7": "The disk of /a/one is full."}
    assert pauses.reasons(disks=False) == {}
    now[0] += 31
    assert pauses.disks() == []
    pauses.end(PhotoDisk(8))
    assert pauses.reasons() != {}
    pauses.end(PhotoDisk(7))
    assert pauses.reasons() == {}


def test_work_that_was_in_hand_when_a_pause_began_does_not_end_it() -> None:
    now = [100.0]
    pauses = Pauses(30, clock=lambda: now[0])
    pauses.begin("spool", "full")
    pauses.end("spool", if_over=True)
    assert pauses.any_of("spool")
    now[0] += 31
    pauses.end("spool", if_over=True)
    assert pauses.reasons() == {}


def test_work_on_a_disk_that_is_away_is_left_for_a_while() -> None:
    now = [100.0]
    away = AwayDisks(30, clock=lambda: now[0])
    away.add(7)
    now[0] += 20
    away.add(3)
    assert away.devices() == [3, 7]
    now[0] += 20
    assert away.devices() == [3]
    now[0] += 20
    assert away.devices() == []
