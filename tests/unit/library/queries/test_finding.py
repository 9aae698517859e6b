"""One filter finds the same photos for every command and for the page, by whatever index."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from found_file import NOW
from sqlalchemy import text
from sqlalchemy.orm import Session

from maclip_daemon.errors import UsageError
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.library.queries import distribution, rankings, rejected_photos, review_photos
from maclip_daemon.library.queries.finding import (
    equipment,
    filter_sql,
    filter_words,
    folder_list,
    score_order,
)
from maclip_daemon.library.queries.finding.photo_filter import Order, PhotoFilter
from maclip_daemon.library.results import calibration
from maclip_daemon.library.storage.database import Library
from maclip_daemon.photos.measures import reasons
from maclip_daemon.photos.measures.photo_measures import Measure, PhotoMeasures

AddPhoto = Callable[..., int]
CAMERAS = (None, "Canon EOS R5", "Canon EOS R5 C", "NIKON Z 6")
LENSES = (None, "RF50mm F1.2", "Z 24-70mm")
REASONS = (None, "highlights clipped: 12 %", "noise: 14 of 255 grey levels at 100 %; highlights clipped: 9 %")
KINDS = (None, "burst", "panorama")
EDGES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Shelf:
    """A library of four hundred photos, each different; every fourth is the JPEG of the RAW before it."""

    library: Library
    photos: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    photos = {about["path"]: about for about in _made()}
    with Library.open(tmp_path_factory.mktemp("shelf") / "library.db") as library:
        with library.writing() as session:
            driver = session.connection().connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            _fill(driver, photos)
            rule = calibration.StarRule((10.0, 20.0, 40.0, 20.0, 10.0), 30, absolute_edges=EDGES)
            calibration.renew(session, 1, rule, NOW)
        yield Shelf(library, photos)


def _made() -> Iterator[dict[str, Any]]:
    chance = random.Random(7)
    for number in range(400):
        is_jpeg = number % 4 == 1
        suffix = "jpg" if number % 4 else "cr2"
        folder = f"/photos/{2024 + number // 200}/{number // 40}"
        path = f"{folder}/P{number - is_jpeg:03}.{suffix}"
        month = f"20{chance.choice((24, 25))}-0{chance.randint(1, 9)}"
        yield {
            "id": number + 1,
            "path": path,
            "folder": folder,
            "score": round(chance.random(), 3),
            "camera": chance.choice(CAMERAS),
            "lens": chance.choice(LENSES),
            "taken_at": chance.choice((None, f"{month}-1{number % 10}T10:00:00")),
            "owner": chance.choice(("none", "maclip", "maclip", "maclip", "person")),
            "rating": chance.choice((-1, 0, 1, 2, 3, 4, 5)),
            "is_picked": chance.random() < 0.05,
            "reasons": chance.choice(REASONS),
            "kind": chance.choice(KINDS) if number % 4 == 2 else None,
            "is_jpeg": is_jpeg,
            **({"raw": f"{path[:-3]}cr2"} if is_jpeg else {}),
            **({"jpeg": f"{path[:-3]}jpg"} if number % 4 == 0 else {}),
        }


def _fill(driver: sqlite3.Connection, photos: dict[str, dict[str, Any]]) -> None:
    driver.execute("INSERT INTO roots (id, path, added_at) VALUES (1, '/photos', '')")
    driver.execute("INSERT INTO scoring_configs VALUES (1, 'maclip', 'builtin', 'spaq448', 1)")
    folders = {each["folder"]: number for number, each in enumerate(photos.values(), 1)}
    driver.executemany("INSERT INTO folders VALUES (?, 1, ?)", [(n, path) for path, n in folders.items()])
    for number, (path, each) in enumerate(photos.items()):
        place = folders[each["folder"]]
        driver.execute(
            "INSERT INTO photos (id, folder_id, file_name, device, inode, size, mtime_ns, state,"
            " first_seen_at, camera, lens, taken_at, rating_owner, rating_in_file, is_picked)"
            " VALUES (?, ?, ?, 1, ?, 1, 1, 'scored', '', ?, ?, ?, ?, ?, ?)",
            (
                *(each["id"], place, path.rpartition("/")[2], number, each["camera"], each["lens"]),
                *(each["taken_at"], each["owner"], each["rating"], each["is_picked"]),
            ),
        )
        driver.execute(
            "INSERT INTO scores (photo_id, folder_id, scoring_config_id, score, views, scored_at)"
            " VALUES (?, ?, 1, ?, 1, '')",
            (each["id"], place, each["score"]),
        )
        driver.execute(
            "INSERT INTO measures (photo_id, reasons) VALUES (?, ?)", (each["id"], each["reasons"])
        )
        if each["kind"]:
            driver.execute(
                "INSERT INTO bursts (id, kind, members, first_moment, last_moment) VALUES (?, ?, 2, 1, 1)",
                (each["id"], each["kind"]),
            )
            driver.execute(
                "INSERT INTO burst_frames (photo_id, series, moment, name_order, burst_id)"
                " VALUES (?, 1, 1, '', ?)",
                (each["id"], each["id"]),
            )
        if "raw" in each:
            pair = (each["id"], photos[each["raw"]]["id"])
            driver.execute("INSERT INTO photo_pairs (photo_id, raw_id) VALUES (?, ?)", pair)


def _stars(score: float) -> int:
    return 1 + sum(score >= edge for edge in EDGES)


def fits(photos: dict[str, dict[str, Any]], path: str, chosen: PhotoFilter) -> bool:
    """Tell by plain Python whether a photo fits a filter."""
    about = photos[path]
    files = [about] + [photos[about[key]] for key in ("raw", "jpeg") if key in about]
    day = (about["taken_at"] or "")[:10]
    mine = {
        "any": True,
        "unrated": all(each["owner"] != "person" for each in files),
        "undecided": all(each["owner"] != "person" and not each["is_picked"] for each in files),
        "rated": any(each["owner"] == "person" for each in files),
        "picked": any(each["is_picked"] for each in files),
        "rejected": any((each["owner"], each["rating"]) == ("person", -1) for each in files),
        "4": any((each["owner"], each["rating"]) == ("person", 4) for each in files),
        "maclip": about["owner"] == "maclip" and all(each["owner"] != "person" for each in files),
        "nobody": about["owner"] == "none" and all(each["owner"] != "person" for each in files),
    }
    score = photos[about["raw"]]["score"] if "raw" in about else about["score"]
    pattern = {"": "", "any": "", "clipped highlights": "highlights clipped", "noise": "noise"}[chosen.reason]
    return bool(
        mine[chosen.mine]
        and (not chosen.stars or _stars(score) in chosen.stars)
        and (not chosen.since or (day and day >= chosen.since))
        and (not chosen.until or (day and day <= chosen.until))
        and (not chosen.camera or chosen.camera.lower() in (about["camera"] or "").lower())
        and (not chosen.lens or chosen.lens.lower() in (about["lens"] or "").lower())
        and (not chosen.kind or about["kind"] == chosen.kind or (chosen.kind == "any" and about["kind"]))
        and (not chosen.reason or (about["reasons"] and pattern in about["reasons"]))
        and (not chosen.name or chosen.name.lower() in path.rpartition("/")[2].lower())
        and path.startswith(chosen.folder)
        and (not chosen.under or any(path.startswith(place) for place in chosen.under))
    )


FILTERS = [
    PhotoFilter(),
    PhotoFilter(mine="undecided"),
    PhotoFilter(mine="unrated", camera="nikon"),
    PhotoFilter(mine="rated"),
    PhotoFilter(mine="rejected", lens="RF50"),
    PhotoFilter(mine="4"),
    PhotoFilter(mine="picked"),
    PhotoFilter(mine="maclip", since="2025-01-01"),
    PhotoFilter(mine="nobody", until="2024-12-31"),
    PhotoFilter(since="2024-03-15", until="2024-06-12", reason="any"),
    PhotoFilter(stars=(1, 5)),
    PhotoFilter(stars=(3,), mine="undecided"),
    PhotoFilter(kind="any"),
    PhotoFilter(kind="panorama", mine="unrated"),
    PhotoFilter(reason="clipped highlights"),
    PhotoFilter(reason="noise", camera="R5 C"),
    PhotoFilter(name="p01"),
    PhotoFilter(under=("/photos/2024",), mine="undecided"),
    PhotoFilter(under=("/photos/2024/1", "/photos/2025"), folder="/photos/2025", stars=(2,)),
    PhotoFilter(under=("/photos/2024/0/P003.jpg", "/photos/2024/2")),
    PhotoFilter(folder="/photos/2025/7", camera="canon"),
    PhotoFilter(camera="no such camera"),
]


@pytest.mark.parametrize("way", ["as it is", "all in order", "folders alone", "row by row"])
def test_every_filter_finds_what_plain_python_finds(
    shelf: Shelf, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way != "as it is":
        monkeypatch.setattr(filter_sql, "FEW", 0)
        monkeypatch.setattr(score_order, "LOOK_AHEAD", 2000 if way == "all in order" else 3)
        monkeypatch.setattr(review_photos, "LOOK_AHEAD", 2000 if way == "all in order" else 3)
    if way == "row by row":
        monkeypatch.setattr(filter_sql, "MANY", 0)
    with shelf.library.snapshot() as snapshot:
        for chosen in FILTERS:
            wanted = {path for path in shelf.photos if fits(shelf.photos, path, chosen)}
            assert bool(wanted) is (chosen.camera != "no such camera"), f"{chosen} tests nothing"
            _check_rankings(snapshot, shelf, chosen, wanted)
            _check_page_and_stats(snapshot, shelf, chosen, wanted)


def _check_rankings(
    snapshot: sqlite3.Connection, shelf: Shelf, chosen: PhotoFilter, wanted: set[str]
) -> None:
    photos = shelf.photos
    in_order = sorted(photos[path]["score"] for path in wanted)
    for count in (1, 30, 1000):
        rows = rankings.worst(snapshot, count, chosen)
        assert [row.score for row in rows] == in_order[:count], chosen
        assert {row.path for row in rows} <= wanted, chosen
    shots = {path for path in wanted if not photos[path]["is_jpeg"]}
    best = rankings.best(snapshot, 1000, chosen, one_a_moment=True)
    assert {row.path for row in best} == shots, chosen
    assert [row.score for row in best] == sorted((photos[path]["score"] for path in shots), reverse=True)
    worst = {row.path for row in rankings.worst(snapshot, 1000, chosen, one_a_moment=True)}
    kept = {path for path in shots if photos[path]["kind"] == "panorama" and chosen.kind != "panorama"}
    assert worst == shots - kept, chosen


def _check_page_and_stats(
    snapshot: sqlite3.Connection, shelf: Shelf, chosen: PhotoFilter, wanted: set[str]
) -> None:
    shots = sorted(shelf.photos[path]["id"] for path in wanted if not shelf.photos[path]["is_jpeg"])
    orders: tuple[Order, ...] = ("worst", "best", "taken", "name")
    for order in orders:
        ids, _ = review_photos.ids(snapshot, replace(chosen, order=order))
        assert sorted(ids) == shots, chosen
        first, _ = review_photos.ids(snapshot, replace(chosen, order=order), 3)
        assert list(first) == list(ids[:3]), chosen
    scores = {photo["id"]: photo["score"] for photo in shelf.photos.values()}
    ids, rated = review_photos.ids(snapshot, chosen)
    assert [scores[number] for number in ids] == sorted(scores[number] for number in shots), chosen
    everything, all_rated = review_photos.ids(snapshot, PhotoFilter())
    assert rated == all_rated.intersection(ids), chosen
    assert set(ids) <= set(everything)
    summary = distribution.score_summary(snapshot, chosen)
    assert (summary.photo_count if summary else 0) == len(wanted), chosen
    assert sum(bar.photo_count for bar in distribution.histogram(snapshot, 5, chosen)) == len(wanted)
    assert sum(group.photo_count for group in distribution.by_folder(snapshot, chosen)) == len(wanted)
    assert sum(group.photo_count for group in distribution.by_month(snapshot, chosen)) == len(wanted)


def test_cull_takes_rejected_and_weak_photos_of_a_filter(shelf: Shelf) -> None:
    chosen = PhotoFilter(camera="canon eos r5", mine="any")
    photos = shelf.photos
    with shelf.library.snapshot() as snapshot:
        rejected = {each.path for each in rejected_photos.rejected(snapshot, chosen)}
        weakest = rejected_photos.weakest(snapshot, 5, chosen)
    theirs = {path for path, each in photos.items() if (each["owner"], each["rating"]) == ("person", -1)}
    assert rejected == {path for path in theirs if "Canon" in (photos[path]["camera"] or "")}
    undecided = replace(chosen, mine="undecided")
    weak = sorted(
        (each["score"], path)
        for path, each in photos.items()
        if fits(photos, path, undecided) and not each["is_jpeg"]
    )
    shots = {path for _, path in weak[:5]}
    assert {each.path for each in weakest} == shots | {
        photos[path]["jpeg"] for path in shots if "jpeg" in photos[path]
    }


def test_a_jpeg_stands_for_its_shot_where_its_raw_has_no_score(shelf: Shelf) -> None:
    stars = _stars(shelf.photos["/photos/2024/0/P000.cr2"]["score"])
    fail = text("UPDATE photos SET state = :state WHERE file_name = 'P000.cr2'")
    try:
        with shelf.library.writing() as session:
            session.execute(fail, {"state": "failed"})
        with shelf.library.snapshot() as snapshot:
            shown = {row.file_name for row in rankings.best(snapshot, 1000, one_a_moment=True)}
            starred = rankings.best(snapshot, 1000, PhotoFilter(stars=(stars,)), one_a_moment=True)
    finally:
        with shelf.library.writing() as session:
            session.execute(fail, {"state": "scored"})
    assert "P000.jpg" in shown
    assert "P000.cr2" not in shown
    assert "P000.jpg" in {row.file_name for row in starred}, "it has the stars of its RAW"


def test_an_exact_camera_is_that_one_and_a_part_is_each_that_has_it(shelf: Shelf) -> None:
    with shelf.library.snapshot() as snapshot:
        assert equipment.names(snapshot, "camera") == sorted(filter(None, CAMERAS))
        assert equipment.names(snapshot, "lens") == sorted(filter(None, LENSES))
        assert equipment.matching(snapshot, "camera", "Canon EOS R5") == ["Canon EOS R5"]
        assert equipment.matching(snapshot, "camera", "canon eos r5") == ["Canon EOS R5", "Canon EOS R5 C"]
        assert equipment.matching(snapshot, "camera", "fuji") == []


def test_folders_to_choose_from_are_those_with_photos_and_those_above(shelf: Shelf) -> None:
    with shelf.library.snapshot() as snapshot:
        found = folder_list.folders(snapshot)
        assert found[:3] == ["/photos", "/photos/2024", "/photos/2024/0"]
        assert len(found) == 1 + 2 + 10
        assert folder_list.folders(snapshot, ["/photos/2025/7"]) == ["/photos/2025/7"]


def test_a_folder_whose_name_is_not_utf8_can_be_named(
    library: Library, session: Session, add_photo: AddPhoto
) -> None:
    add_photo("/photos/caf\udce9/a.jpg", 0.5)
    session.commit()
    with library.snapshot() as snapshot:
        assert folder_list.named(snapshot, printable_utf8("/photos/caf\udce9")) == "/photos/caf\udce9"
        assert folder_list.named(snapshot, "/photos/none\\xe9") == "/photos/none\\xe9"


def test_every_reason_that_can_be_measured_has_one_word(library: Library) -> None:
    bad = Measure(1e6, 1.0)
    fine = Measure(0.0, 0.0)
    names = [
        *("focus", "motion", "noise", "clipped_highlights", "clipped_shadows", "jpeg_damage", "enlargement")
    ]
    words = set(filter_sql._REASONS) - {"any"}
    found = []
    with library.snapshot() as snapshot:
        for name in names:
            (sentence,) = reasons.reasons_of(_measures(dict.fromkeys(names, fine) | {name: bad}), 6000, 4000)
            fitting = [
                word
                for word in words
                if snapshot.execute("SELECT ? LIKE ?", (sentence, filter_sql._REASONS[word])).fetchone()[0]
            ]
            assert len(fitting) == 1, sentence
            found += fitting
    assert set(found) == words


def _measures(values: dict[str, Measure]) -> PhotoMeasures:
    given: dict[str, Any] = {each.name: Measure(0.0, 0.0) for each in fields(PhotoMeasures)}
    given |= values | {"motion_direction": 0.0, "brightest": 0.0, "scale": 1.0, "is_developed": False}
    return PhotoMeasures(**given)


def test_dates_may_be_months_and_years() -> None:
    chosen = filter_words.parse({"since": "2026-02", "until": "2024"})
    assert (chosen.since, chosen.until) == ("2026-02-01", "2024-12-31")
    assert filter_words.parse({"until": "2024-02"}).until == "2024-02-29"
    for wrong in ("2026-13", "2026-02-30", "yesterday", "2026-1-1", "٢٠٢٦"):
        with pytest.raises(UsageError, match="since: "):
            filter_words.parse({"since": wrong})


def steps(snapshot: sqlite3.Connection, run: Callable[[sqlite3.Connection], object]) -> str:
    """Return the plan of every statement that a query runs."""
    said: list[str] = []
    snapshot.set_trace_callback(said.append)
    run(snapshot)
    snapshot.set_trace_callback(None)
    selects = [each for each in said if each.startswith(("SELECT", "WITH"))]
    return "\n".join(row[3] for each in selects for row in snapshot.execute(f"EXPLAIN QUERY PLAN {each}"))


def test_no_filter_reads_all_photos_but_in_the_order_of_an_index(shelf: Shelf) -> None:
    with shelf.library.snapshot() as snapshot:
        for chosen in FILTERS:
            plan = steps(snapshot, lambda each, chosen=chosen: rankings.worst(each, 20, chosen))
            assert not re.search(r"SCAN (p|photos|scores|m|measures)( |$)(?!USING)", plan, re.MULTILINE), plan
