"""`maclip archive` as a user runs it on one machine: a folder in, Parquet out, the daemon's numbers.

Ray is started once. That a second run through it goes on is shown with `--full`, in test_lost_machines.py.
"""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from maclip_daemon.archive.planning.listing import local_source
from maclip_daemon.archive.rows import RowOrigin, failed_row, scored_row, table_of
from maclip_daemon.errors import Poison
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import ScoringSettings
from tests.archive.result_rows import compare_with_daemon, rows_of
from tests.homes import Home, contents, make_photos

RAY_S = 600  # it starts a dozen processes, beside other tests
EARLIER = ("earlier.jpg", "earlier failure.jpg")


def results_of_an_earlier_run(home: Home, out: Path) -> None:
    """Write rows of two photos as a run that was interrupted leaves them."""
    config = ScorerClient(ScoringSettings(model=home.model), home.data).identity()
    origin = RowOrigin(config, "2.0.0", 1, "earlier", "studio-1", 1_790_000_000.0)
    scored, failed = (
        local_source(os.fspath(photo.rename(home.photos / name)))
        for photo, name in zip(make_photos(home.photos, 2, first=90), EARLIER, strict=True)
    )
    photo = DecodedPhoto(b"", None, 2, 2, 640, 480, "jpeg:earlier", None, None)
    rows = {
        "scored": scored_row(scored, photo, PhotoScore(0.5, 0.5, 0.5, {}, 1, (0.5,), 0.1, 0.5), origin),
        "failed": failed_row(failed, Poison("It is damaged."), origin),
    }
    folder = out / "generation=1"
    folder.mkdir(parents=True)
    for state, row in rows.items():
        pq.write_table(table_of([row]), folder / f"{state}-0.parquet")


@pytest.mark.xdist_group("ray")
def test_an_archive_has_the_daemons_numbers_and_goes_on_where_it_was(
    home: Home, request: pytest.FixtureRequest
) -> None:
    out = home.folder / "results"
    results_of_an_earlier_run(home, out)
    before = contents(out)
    make_photos(home.photos, 6)
    (home.photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    done = home.maclip("archive", home.photos, "--out", out, expect=None, timeout_s=RAY_S)
    if "Ray does not start on this machine" in done.stderr:
        request.getfixturevalue("ray_works")  # skips where Ray alone does not start either
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("6 photos scored, 1 failed, 2 were done before. ")
    assert done.stdout.count("\n") == 1  # Ray adds no remarks of its own
    assert "damaged, or no photo: 1" in done.stderr
    assert "raylet" not in done.stderr
    rows = rows_of(out)
    assert rows["broken.jpg"]["failure"] == "damaged, or no photo"
    assert contents(out).items() >= before.items()
    idle = home.maclip("archive", "--out", out, home.photos)
    assert "all 9 photos have a row" in idle.stdout

    report = home.json("archive", "report", out, "--json")
    assert (report["photos"], report["scored"], report["failed"]) == (9, 7, 2)
    assert {each["example"].rpartition("/")[2] for each in report["failures"]} <= {"broken.jpg", EARLIER[1]}
    for name in EARLIER:
        (home.photos / name).unlink()
        del rows[name]
    other = {"MACLIP_DATA_DIR": str(home.folder / "another library")}
    brought = home.maclip("archive", "import", out, home.photos, expect=1, **other)
    assert "7 photo files below 1 folder; 6 of them have name and size" in brought.stdout
    assert "6 scored, 6 of them from the archive, 6 rated" in brought.stdout

    home.maclip("run", "--once", home.photos, expect=1)
    assert compare_with_daemon(rows, home) == 6
    assert sorted(path.name for path in out.iterdir()) == ["generation=1"]
