"""`maclip archive` as a user runs it on one machine: a folder in, Parquet out, the daemon's numbers."""

from __future__ import annotations

import pytest

from tests.archive.result_rows import compare_with_daemon, rows_of
from tests.homes import Home, make_photos

RAY_S = 600  # it starts a dozen processes, beside other tests


@pytest.mark.xdist_group("ray")
def test_an_archive_has_the_daemons_numbers_and_goes_on_where_it_was(
    home: Home, request: pytest.FixtureRequest
) -> None:
    make_photos(home.photos, 6)
    (home.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    out = home.folder / "results"
    done = home.maclip("archive", home.photos, "--out", out, expect=None, timeout_s=RAY_S)
    if "Ray does not start on this machine" in done.stderr:
        request.getfixturevalue("ray_works")  # skips where Ray alone does not start either
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("6 photos scored, 1 failed. ")
    assert done.stdout.count("\n") == 1  # Ray adds no remarks of its own
    assert "damaged, or no photo: 1" in done.stderr
    assert "raylet" not in done.stderr
    assert rows_of(out)["broken.jpg"]["failure"] == "damaged, or no photo"

    make_photos(home.photos, 1, first=6)
    again = home.maclip("archive", "--out", out, home.photos, timeout_s=RAY_S)
    assert "1 photo scored, 0 failed, 7 were done before" in again.stdout
    idle = home.maclip("archive", home.photos, "--out", out)
    assert "all 8 photos have a row" in idle.stdout

    report = home.json("archive", "report", out, "--json")
    assert (report["photos"], report["scored"], report["failed"]) == (8, 7, 1)
    assert report["failures"][0]["example"].endswith("/broken.jpg")
    other = {"MACLIP_DATA_DIR": str(home.folder / "another library")}
    brought = home.maclip("archive", "import", out, home.photos, expect=1, **other)
    assert "8 photo files below 1 folder; 7 of them have name and size" in brought.stdout
    assert "7 scored, 7 of them from the archive, 7 rated" in brought.stdout
    home.maclip("undo", **other)

    home.maclip("run", "--once", home.photos, expect=1)
    assert compare_with_daemon(rows_of(out), home) == 7
    assert sorted(path.name for path in out.iterdir()) == ["generation=1"]
