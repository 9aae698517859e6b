"""An archive's scores come into a library by the photos' pixels; nothing is scored again, nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result
from small_results import failed, origin, scored, write
from typer.testing import CliRunner

from maclip_daemon.cli.program import assembled
from maclip_daemon.daemon.lock import locked
from maclip_daemon.errors import AlreadyRunning, UsageError
from maclip_daemon.iqa.photo_score import ScoringConfig
from maclip_daemon.photos.picture_identity import jpeg_hash
from maclip_daemon.scoring.scorer_client import ScorerClient
from maclip_daemon.settings import ScoringSettings
from tests.homes import Home, make_photo

FAR = 100.0  # a score that this machine would never compute


@pytest.fixture
def out(home: Home) -> Path:
    """Six photos, of which the archive knows five under other addresses."""
    identity = ScorerClient(ScoringSettings(model=home.model), home.data).identity()
    config = ScoringConfig(identity.metric, identity.model, identity.protocol)
    rows = []
    for number in range(6):
        photo = make_photo(home.photos / f"{number}.jpg", seed=number)
        pixels = jpeg_hash(photo.read_bytes(), None)
        address = f"s3://studio/other/{number}.jpg"
        rows.append(
            scored(address, FAR + number, pixels, origin(config)) | {"size": photo.stat().st_size}
            if number < 5
            else failed(address, origin=origin(config))
        )
    write(home.folder / "out", rows)
    return home.folder / "out"


def imported(monkeypatch: pytest.MonkeyPatch, home: Home, *arguments: str | Path) -> Result:
    """Run the command in this process; it must not come to a run."""
    for name, value in home.environment.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(assembled(), ["archive", "import", *map(str, arguments)])


def test_scores_come_by_pixels_and_stars_follow_once(home: Home, out: Path) -> None:
    (home.photos / "0.jpg").rename(home.photos / "renamed.jpg")
    told = home.maclip("archive", "import", out, home.photos)
    assert "6 photo files below 1 folder; 4 of them have name and size" in told.stdout
    assert "6 scored, 5 of them from the archive, 6 rated" in told.stdout
    found = home.scored()
    assert found.pop("5.jpg") < FAR / 2  # the archive does not have it
    assert found == {"renamed.jpg": FAR, **{f"{number}.jpg": FAR + number for number in range(1, 5)}}
    assert len(list(home.photos.glob("*.xmp"))) == 6
    (precision, details), *_ = home.sql(
        "select precision, json_extract(details, '$.view_scores[0]') from scores order by score desc"
    )
    assert (precision, details) == ("bf16", FAR + 4)
    again = home.maclip("archive", "import", out)  # the folder is known by now
    assert "Nothing to do." in again.stdout


def test_a_dry_run_makes_no_library(home: Home, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = imported(monkeypatch, home, out, home.photos, "--dry-run")
    assert told.exit_code == 0
    assert "6 photo files below 1 folder; 5 of them have name and size" in told.stdout
    assert "Nothing was changed" in told.stdout
    assert not home.data.exists()


def test_results_of_another_model_are_refused_in_one_sentence(
    home: Home, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(out, [scored("/a.jpg")], generation=2)
    told = imported(monkeypatch, home, out, home.photos, "--dry-run")
    assert "5 of them" in told.stdout  # the newest generation that fits is taken
    refused = imported(monkeypatch, home, out, home.photos, "--generation", "2").exception
    assert isinstance(refused, UsageError)
    assert "has scores of builtin@2 · maclip · detail-8, but this library uses" in str(refused)
    assert "\n" not in str(refused)


def test_an_import_beside_a_daemon_or_without_a_folder_says_what_to_do(
    home: Home, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_folder = imported(monkeypatch, home, out).exception
    assert isinstance(without_folder, UsageError)
    assert "No folder is watched yet: name one" in str(without_folder)
    without_results = imported(monkeypatch, home, home.folder / "nothing", home.photos).exception
    assert isinstance(without_results, UsageError)
    assert "There is no folder" in str(without_results)
    with locked(home.data):
        beside = imported(monkeypatch, home, out, home.photos).exception
    assert isinstance(beside, AlreadyRunning)
    assert "Another maclip process uses" in str(beside)


def test_a_score_that_is_no_number_is_computed_again(home: Home, out: Path) -> None:
    from maclip_daemon.archive.results_folder import open_results
    from maclip_daemon.archive.score_lookup import score_lookup
    from maclip_daemon.pipeline.commands.archive_results.import_scores import ImportSource

    config = ScoringConfig("maclip", "m", "p")
    told = [
        scored("/a.jpg", float("nan"), "jpeg:a", origin(config)),
        scored("/b.jpg", 0.5, "jpeg:b", origin(config)) | {"q_mag": float("inf")},
        scored("/c.jpg", 0.5, "jpeg:c", origin(config)) | {"score_details": "no JSON"},
    ]
    write(out, told, generation=3)
    files = [(f"{name}.jpg", 1000) for name in "abc"]
    with score_lookup(open_results(str(out)), config, files) as lookup:
        source = ImportSource(lookup, len(files))
        assert source.score_of("jpeg:a") is None
        assert source.score_of("jpeg:b") is None
        found = source.score_of("jpeg:c")
        assert found is not None
        assert (found.score, found.details) == (0.5, {})
