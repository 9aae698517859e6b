"""`maclip score`: scores without a library."""

from __future__ import annotations

import csv
import io
import json

import pytest

from tests.homes import Home, contents, make_photos

KEYS = {
    "path",
    "score",
    "overall",
    "detail",
    "q_sim",
    "q_mag",
    "views",
    "attributes",
    "metric",
    "model",
    "protocol",
    "error",
}


def test_json_has_a_line_for_each_photo_including_failed_ones(home: Home) -> None:
    photos = make_photos(home.photos, 3)
    broken = home.photos / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:5000])
    before = contents(home.folder)
    done = home.maclip("score", home.photos, photos[0], "--json", expect=1)
    rows = {row["path"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows.keys() == {str(path) for path in (*photos, broken)}
    assert all(row.keys() == KEYS for row in rows.values())
    assert str(broken) in rows[str(broken)]["error"]
    good = rows[str(photos[0])]
    assert good["error"] is None
    assert good["views"] == 5
    assert good["attributes"].keys() == {"good", "sharpness", "edges", "resolution", "noise_free"}
    assert contents(home.folder) == before
    # The daemon computes the same score for the same photo.
    home.maclip("run", "--once", home.photos, expect=1)
    assert home.scored()[photos[0].name] == pytest.approx(good["score"], abs=1e-4)


def test_csv_and_the_table_name_every_photo(home: Home) -> None:
    photos = make_photos(home.photos, 2)
    answers = home.maclip("score", home.photos, "--json").stdout.splitlines()
    sharpness = {answer["path"]: answer["attributes"]["sharpness"] for answer in map(json.loads, answers)}
    rows = list(csv.DictReader(io.StringIO(home.maclip("score", home.photos, "--csv").stdout)))
    assert sharpness.keys() == {str(path) for path in photos}
    assert {row["path"]: float(row["sharpness"]) for row in rows} == pytest.approx(sharpness, abs=1e-4)
    table = home.maclip("score", home.photos, "--metric", "clipiqa").stdout
    assert all(str(path) in table for path in photos)
