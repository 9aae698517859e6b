"""The queue between the decoders and the scorer: bounded in photos and in bytes."""

import threading
from pathlib import Path

from maclip_daemon.library.queue.leases import LeasedJob
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.pipeline.scoring.look_ahead import LookAhead, Ready


def ready(number: int, side: int = 10) -> Ready:
    job = LeasedJob(number, number, "score", f"/photos/{number}.jpg", 1, 0, 1, 1)
    photo = DecodedPhoto(None, Path("/spool"), side, side, side, side, "hash", None, None)
    return Ready(job, photo)


def numbers(batch: list[Ready]) -> list[int]:
    return [each.job.id for each in batch]


def queue(photos: int = 100, size: int = 1 << 30) -> LookAhead:
    return LookAhead(threading.Condition(), photos, size)


def test_photos_come_out_as_they_went_in_and_in_batches() -> None:
    ahead = queue()
    for number in range(5):
        assert ahead.put(ready(number), 0)
    assert numbers(ahead.take(3, 0)) == [0, 1, 2]
    assert numbers(ahead.take(3, 0)) == [3, 4]
    assert ahead.take(3, 0) == []


def test_no_more_photos_wait_than_the_bound() -> None:
    ahead = queue(photos=2)
    assert ahead.put(ready(1), 0)
    assert ahead.put(ready(2), 0)
    assert not ahead.put(ready(3), 0)
    ahead.take(1, 0)
    assert ahead.put(ready(3), 0)


def test_no_more_bytes_wait_than_the_bound() -> None:
    ahead = queue(size=2 * 300 + 299)
    assert [ahead.put(ready(number), 0) for number in range(3)] == [True, True, False]
    assert ahead.put(ready(3, side=9), 0), "a smaller one still fits"
    assert numbers(ahead.take(2, 0)) == [0, 1]
    assert ahead.put(ready(4), 0)


def test_a_photo_that_is_larger_than_the_bound_waits_alone() -> None:
    ahead = queue(size=100)
    assert ahead.put(ready(1, side=1000), 0)
    assert not ahead.put(ready(2, side=1), 0)
    assert numbers(ahead.take(9, 0)) == [1]
    assert ahead.put(ready(2, side=1), 0)
    assert not ahead.put(ready(3, side=1000), 0)


def test_whoever_waits_for_room_goes_on_as_soon_as_there_is_some() -> None:
    ahead = queue(photos=1)
    ahead.put(ready(1), 0)
    put: list[bool] = []
    waiting = threading.Thread(target=lambda: put.append(ahead.put(ready(2), 60)))
    waiting.start()
    assert numbers(ahead.take(1, 60)) == [1]
    waiting.join(60)
    assert put == [True]
    assert numbers(ahead.take(1, 60)) == [2]


def test_a_notification_ends_the_wait_for_photos() -> None:
    changed = threading.Condition()
    ahead = LookAhead(changed, 1, 1)
    taken: list[list[Ready]] = []
    waiting = threading.Thread(target=lambda: taken.append(ahead.take(1, 3600)))
    waiting.start()
    while waiting.is_alive():
        with changed:
            changed.notify_all()
        waiting.join(0.01)
    assert taken == [[]]


def test_everything_can_be_taken_at_the_end() -> None:
    ahead = queue(size=700)
    for number in range(2):
        ahead.put(ready(number), 0)
    assert numbers(ahead.take_all()) == [0, 1]
    assert ahead.take_all() == []
    assert ahead.put(ready(9), 0), "the bytes were given back"
