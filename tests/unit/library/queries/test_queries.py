import os
import random
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from found_file import NOW
from sqlalchemy.orm import Session

from maclip_daemon.library.photos import missing_photos, photo_records, root_records
from maclip_daemon.library.queries import distribution, photo_detail, photo_failures, rankings
from maclip_daemon.library.queries.finding import score_order
from maclip_daemon.library.queries.finding.photo_filter import PhotoFilter
from maclip_daemon.library.queries.status import status
from maclip_daemon.library.queue import jobs, leases
from maclip_daemon.library.results import scores
from maclip_daemon.library.storage import photo_paths
from maclip_daemon.library.storage.database import Library
from maclip_daemon.library.storage.notes import put_note

AddPhoto = Callable[..., int]


@pytest.fixture
def shoots(session: Session, add_photo: AddPhoto, library: Library) -> dict[str, float]:
    """Four hundred photos in folders of very different quality; some missing."""
    random_numbers = random.Random(5)
    found = {}
    for folder, level in (
        ("/photos/good", 0.9),
        ("/photos/bad", 0.1),
        ("/photos/bad/deep", 0.2),
        ("/other", 0.15),
    ):
        for number in range(100):
            path = f"{folder}/{number}.jpg"
            found[path] = round(level + random_numbers.gauss(0, 0.1), 2)
            add_photo(path, found[path])
    for path in ("/photos/bad/3.jpg", "/photos/good/5.jpg", "/other/7.jpg"):
        photo = photo_paths.find_photo(session, path)
        assert photo is not None
        missing_photos.mark_missing(session, [photo], NOW)
        del found[path]
    session.commit()
    return found


@pytest.mark.parametrize("look_ahead", [0, 10, 2000])
def test_the_worst_and_the_best_are_those_of_a_plain_sort(
    library: Library, shoots: dict[str, float], monkeypatch: pytest.MonkeyPatch, look_ahead: int
) -> None:
    monkeypatch.setattr(score_order, "LOOK_AHEAD", look_ahead)
    folders = [None, "/", "/photos", "/photos/", "/photos/good", "/photos/bad", "/photos/ba", "/nowhere"]
    with library.snapshot() as snapshot:
        for under, count in product(folders, (1, 7, 150, 1000)):
            chosen = PhotoFilter(under=(under,) if under else ())
            prefix = "" if under is None else under.rstrip("/") + "/"
            values = sorted(score for path, score in shoots.items() if path.startswith(prefix))
            worst, best = rankings.worst(snapshot, count, chosen), rankings.best(snapshot, count, chosen)
            assert [row.score for row in worst] == values[:count]
            assert [row.score for row in best] == values[::-1][:count]
            assert all(
                shoots[row.path] == row.score and row.path.startswith(prefix) for row in (*worst, *best)
            )


def test_a_row_knows_its_folder_name_and_scoring_config(library: Library, shoots: dict[str, float]) -> None:
    with library.snapshot() as snapshot:
        (row,) = rankings.worst(snapshot, 1)
    assert os.path.join(row.folder, row.file_name) == row.path
    assert (row.metric, row.model, row.protocol, row.state) == ("maclip", "builtin", "spaq448", "scored")
    assert (row.stars, row.percentile) == (None, None)


def test_show_tells_all_of_a_photo(session: Session, add_photo: AddPhoto, library: Library) -> None:
    photo = add_photo("/photos/\udcff.jpg", 0.5)
    config = scores.active_scoring_config(session)
    assert config is not None
    score = scores.ScoreRow(0.5, details={"views": [0.4, 0.6]}, views=2, precision="bf16", device="cpu")
    scores.record(session, config.id, [(photo, score)], NOW)
    waiting = add_photo("/photos/w.jpg")
    jobs.enqueue(session, [waiting], "score", NOW)
    (job,) = leases.lease(session, "score", "w", NOW, 9, 9)
    jobs.fail(session, job, "w", "share away", NOW, poison=False, policy=jobs.RetryPolicy())
    session.commit()
    with library.snapshot() as snapshot:
        shown = photo_detail.show(snapshot, "/photos/\udcff.jpg")
        waits = photo_detail.show(snapshot, "/photos/w.jpg")
        assert photo_detail.show(snapshot, "/photos/none.jpg") is None
    assert shown is not None
    assert shown.quality is not None
    assert (shown.quality.score, shown.details, shown.precision) == (0.5, {"views": [0.4, 0.6]}, "bf16")
    assert waits is not None
    assert (waits.state, waits.quality, waits.failure, waits.attempts) == ("waiting", None, "share away", 1)


def test_status_counts_what_there_is(session: Session, add_photo: AddPhoto, library: Library) -> None:
    missing_photos.mark_missing(session, [add_photo("/photos/a.jpg")], NOW)
    jobs.enqueue(session, [add_photo("/photos/b.jpg")], "score", NOW)
    photo_records.set_rating(session, add_photo("/photos/c.jpg", 0.5), 4, "person")
    root_records.record_scan(session, root_records.root_for(session, "/photos", NOW), NOW)
    put_note(session, "daemon", {"state": "working"}, NOW)
    put_note(session, "warning", "old", NOW)
    put_note(session, "warning", "inotify is short", NOW)
    session.commit()
    with library.snapshot() as snapshot:
        found = status(snapshot)
    assert found.photos == {"waiting": 1, "scored": 1, "failed": 0, "missing": 1}
    assert found.jobs["score"] == {"ready": 1, "leased": 0, "dead": 0}
    assert found.ratings == {"maclip": 0, "person": 1}
    assert [root["path"] for root in found.roots] == ["/photos"]
    assert found.scoring_config == {"metric": "maclip", "model": "builtin", "protocol": "spaq448"}
    assert found.calibration is None
    assert found.notes == {"daemon": {"state": "working"}, "warning": "inotify is short"}


def test_an_empty_library_has_nothing_to_say_and_does_not_fail(library: Library) -> None:
    with library.snapshot() as snapshot:
        assert (
            rankings.worst(snapshot, 5) == rankings.best(snapshot, 5, PhotoFilter(under=("/photos",))) == []
        )
        assert list(photo_failures.failures(snapshot)) == []
        assert distribution.score_summary(snapshot) is None
        assert distribution.histogram(snapshot) == []
        assert status(snapshot).scoring_config is None


def test_the_distribution_adds_up(library: Library, shoots: dict[str, float]) -> None:
    with library.snapshot() as snapshot:
        bins = distribution.histogram(snapshot, 8)
        summary = distribution.score_summary(snapshot)
        folders = distribution.by_folder(snapshot)
        months = distribution.by_month(snapshot)
    assert summary is not None
    assert sum(bar.photo_count for bar in bins) == summary.photo_count == 400
    assert summary.lowest <= summary.lower_quartile <= summary.median <= summary.upper_quartile
    assert {group.name for group in folders} == {str(Path(path).parent) for path in shoots}
    assert [(group.name, group.photo_count) for group in months] == [("unknown", 400)]


def test_equal_scores_make_one_bar(session: Session, add_photo: AddPhoto, library: Library) -> None:
    for name in "abc":
        add_photo(f"/photos/{name}.jpg", 0.5)
    session.commit()
    with library.snapshot() as snapshot:
        assert distribution.histogram(snapshot) == [distribution.Bin(0.5, 0.5, 3)]
