"""Photos of one moment, as a photographer meets them: a real run, the commands, and SQL."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.homes import Home
from tests.moments import take


def test_moments_are_found_shown_and_kept_right(home: Home) -> None:
    photos = home.photos
    burst = [take(photos / f"IMG_{n}.jpg", 1, n * 0.3, shift=3 * n, blur=4.0 * (n == 2)) for n in range(4)]
    bracket = [take(photos / f"IMG_1{n}.jpg", 2, 60 + n, stops=(0.01, -1.5, 1.5)[n]) for n in range(3)]
    alone = take(photos / "IMG_20.jpg", 3, 120)
    copy = photos / "web" / "IMG_20_web.jpg"
    copy.parent.mkdir()
    with Image.open(alone) as image:
        image.resize((480, 320)).save(copy, exif=image.getexif())
    assert "9 scored" in home.maclip("run", "--once", photos).stdout

    rows = [json.loads(line) for line in home.maclip("bursts", "--json").stdout.splitlines()]
    assert [(row["kind"], row["members"]) for row in rows] == [("duplicate", 2), ("bracket", 3), ("burst", 4)]
    found = dict(home.sql("select kind, best from photo_bursts"))
    assert found["bracket"] is None
    assert found["duplicate"] == str(alone)
    best = found["burst"]
    others = {str(path) for path in burst} - {best} | {str(copy)}
    assert set(home.maclip("bursts", "--others").stdout.splitlines()) == others
    assert home.maclip("bursts", "--best").stdout.splitlines() == [str(alone), best]
    assert home.maclip("bursts", "--under", photos / "web", "--best").stdout == f"{alone}\n"
    assert "too close to call" in home.maclip("bursts").stdout or "+0." in home.maclip("bursts").stdout

    # One row a moment; what is kept whole is never weak.
    worst = home.maclip("worst", "--format", "paths").stdout.splitlines()
    assert len(worst) == 2
    assert not set(worst) & {str(path) for path in bracket}
    assert len(home.maclip("worst", "--all", "--format", "paths").stdout.splitlines()) == 9
    assert len(home.maclip("best", "--format", "paths").stdout.splitlines()) == 3
    assert "best of 4 in a burst" in home.maclip("show", best).stdout
    assert "one of 3 in a bracket, which is kept whole" in home.maclip("show", bracket[0]).stdout
    assert f"the largest is {alone}" in home.maclip("show", copy).stdout
    assert home.sql("select distinct camera, lens from photo_quality") == [("Canon EOS R6", "RF 35mm")]

    # A frame vanishes and is forgotten, one arrives late.
    Path(best).unlink()
    late = take(photos / "IMG_9.jpg", 1, 1.1, shift=5)
    home.maclip("run", "--once", photos)
    home.maclip("purge", "--yes")
    members = home.sql("select path from photo_quality where burst_kind = 'burst'")
    assert {path for (path,) in members} == {str(path) for path in [*burst, late]} - {best}
    assert home.sql("select members from photo_bursts where kind = 'burst'") == [(4,)]


@pytest.mark.long_form
def test_a_library_of_before_is_compared_once(home: Home) -> None:
    burst = [take(home.photos / f"IMG_{n}.jpg", 1, n * 0.3, shift=3 * n) for n in range(3)]
    home.maclip("run", "--once", home.photos)
    with closing(sqlite3.connect(home.data / "library.db", isolation_level=None)) as connection:
        connection.execute("delete from burst_frames")
        connection.execute("delete from bursts")
    home.maclip("run", "--once", home.photos)
    assert home.sql("select count(*) from burst_frames where descriptor is not null") == [(3,)]
    (row,) = [json.loads(line) for line in home.maclip("bursts", "--json").stdout.splitlines()]
    assert {frame["path"] for frame in row["frames"]} == {str(path) for path in burst}


def test_the_best_of_a_burst_is_lifted_and_tagged_only_when_that_is_asked_for(home: Home) -> None:
    burst = [take(home.photos / f"IMG_{n}.jpg", 1, n * 0.3, shift=3 * n) for n in range(4)]
    for number in range(4):
        take(home.photos / f"OTHER_{number}.jpg", 10 + number, 60 * number + 60)
    home.maclip("run", "--once", home.photos)
    assert not any("maclip|burst|best" in sidecar(path).read_text("utf-8") for path in burst)
    ranks = {re.search(r'maclip:BurstRank="(\d)"', sidecar(path).read_text("utf-8"))[1] for path in burst}  # type: ignore[index]
    assert ranks == {"1", "2", "3", "4"}
    (name,) = {re.search(r'maclip:BurstID="(\w+)"', sidecar(path).read_text("utf-8"))[1] for path in burst}  # type: ignore[index]
    assert len(name) == 16
    assert "BurstID" not in sidecar(home.photos / "OTHER_0.jpg").read_text("utf-8")

    asked = {"MACLIP_RATING__BURSTS": "lift-best", "MACLIP_RATING__BURST_TAGS": "true"}
    lead(home, burst[1], 0.001)
    home.maclip("run", "--once", home.photos, **asked)
    assert home.sql("select too_close_to_call from photo_bursts") == [(1,)]
    stars_of_burst = "select distinct stars from photo_quality where burst_id is not null"
    assert home.sql(stars_of_burst) == [(1,)], "nothing is lifted that is too close to call"
    lead(home, burst[1], 0.1)
    home.maclip("run", "--once", home.photos)
    before = dict(home.sql("select path, stars from photo_quality"))
    home.maclip("run", "--once", home.photos, **asked)
    assert home.sql("select best, too_close_to_call from photo_bursts") == [(str(burst[1]), 0)]
    after = dict(home.sql("select path, stars from photo_quality"))
    ((best, stars),) = home.sql("select path, stars from photo_quality where is_best_of_burst = 1")
    fellows = [after[str(path)] for path in burst if str(path) != best]
    assert stars == max(before[best], min(5, max(fellows) + 1))
    assert {path: count for path, count in after.items() if path != best} == {
        path: count for path, count in before.items() if path != best
    }
    assert f'xmp:Rating="{stars}"' in sidecar(Path(best)).read_text("utf-8")
    assert "maclip|burst|best" in sidecar(Path(best)).read_text("utf-8")
    assert sum("maclip|burst|best" in sidecar(path).read_text("utf-8") for path in burst) == 1
    home.maclip("run", "--once", home.photos)  # and back
    assert not any("maclip|burst|best" in sidecar(path).read_text("utf-8") for path in burst)
    assert dict(home.sql("select path, stars from photo_quality")) == before
    assert f'xmp:Rating="{before[best]}"' in sidecar(Path(best)).read_text("utf-8")


def lead(home: Home, best: Path, by: float) -> None:
    """Let the frames of the burst have the lowest scores, and one of them lead the others by so much."""
    with closing(sqlite3.connect(home.data / "library.db")) as connection, connection:
        photo = "(select id from photos where file_name = ?)"
        connection.execute(
            "update scores set score = (select min(score) from scores) - 0.2, detail_score = null"
            " where photo_id in (select photo_id from burst_frames where burst_id is not null)"
        )
        connection.execute(f"update scores set score = score + ? where photo_id = {photo}", (by, best.name))
        connection.execute("update burst_frames set is_stale = 1")


def sidecar(photo: Path) -> Path:
    return Path(f"{photo}.xmp")
