"""`maclip rate`: a new calibration from all current scores, previewed or made, and the stars it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.errors import EnvironmentUnfit, NoAnswer, NoSpace
from maclip_daemon.folders.filesystem_probe import FilesystemProbe
from maclip_daemon.library.results.calibration import Calibration
from maclip_daemon.pipeline.commands import rerate
from maclip_daemon.pipeline.commands.rerate import RateResult
from maclip_daemon.settings import Settings
from tests.rated_library import EDGES, PERSONS, RatedLibrary, sidecar_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", rating={"edges": EDGES, "darktable_library": "off"})


@pytest.fixture(autouse=True)
def _fake_writer(rated: RatedLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerate, "MetadataWriter", lambda _roots: rated.writer)


def test_without_a_score_the_next_command_is_named(rated: RatedLibrary, settings: Settings) -> None:
    rated.write("delete from scoring_configs")
    with pytest.raises(EnvironmentUnfit, match="Run `maclip run FOLDER` first"):
        rerate.preview(rated.library, settings)


def test_a_preview_changes_nothing(rated: RatedLibrary, settings: Settings) -> None:
    rated.add("a.jpg")
    previewed = rerate.preview(rated.library, settings)
    assert (previewed.to_rate, previewed.to_retag) == (1, 0)
    assert rated.rows("select count(*) from calibrations") == [(0,)]
    assert rated.jobs() == []
    assert rerate.calibrate(rated.library, settings, rated.now).to_rate == 1
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]


def test_stars_are_recomputed_and_a_persons_are_left_alone(rated: RatedLibrary, settings: Settings) -> None:
    for name, score in (("low.jpg", 0.1), ("mine.jpg", 0.5), ("high.jpg", 0.9)):
        rated.add(name, score)
    sidecar_of(rated.folder / "mine.jpg").write_bytes(PERSONS)
    rerate.calibrate(rated.library, settings, rated.now)
    tally = rerate.write(rated.library, settings)
    assert (tally.rated, tally.kept, tally.offline) == (2, 1, [])
    assert [sidecar_of(rated.folder / name).read_bytes() for name in ("low.jpg", "mine.jpg", "high.jpg")] == [
        b"stars: 1",
        PERSONS,
        b"stars: 5",
    ]
    again = rerate.calibrate(rated.library, settings, rated.now)
    assert again.to_rate == 0, "no stars change"
    assert again.calibration is not None
    assert again.calibration.number == 2


def test_sidecars_that_another_program_deleted_are_written_again(
    rated: RatedLibrary, settings: Settings
) -> None:
    for name in ("a.jpg", "b.jpg"):
        rated.add(name)
    rerate.calibrate(rated.library, settings, rated.now)
    rerate.write(rated.library, settings)
    sidecar_of(rated.folder / "a.jpg").unlink()
    previewed = rerate.preview(rated.library, settings)
    assert (previewed.to_rate, previewed.to_restore) == (0, 1)
    assert "1 sidecar that another program deleted" in previewed.sentence()
    assert rerate.calibrate(rated.library, settings, rated.now).to_restore == 1
    assert rerate.write(rated.library, settings).rated == 1
    assert sidecar_of(rated.folder / "a.jpg").exists()
    assert rerate.calibrate(rated.library, settings, rated.now).to_restore == 0


def test_photos_whose_stars_were_undone_get_stars_again(rated: RatedLibrary, settings: Settings) -> None:
    rated.add("a.jpg")
    rated.write("update photos set rating_undone_at = '2026-01-01T00:00:00Z'")
    assert rerate.calibrate(rated.library, settings, rated.now).to_rate == 1


def test_a_jpeg_that_has_its_own_score_again_is_looked_at_behind_the_same_stars(
    rated: RatedLibrary, settings: Settings
) -> None:
    rated.add("a.dng", 0.9)
    rated.add("a.jpg", 0.95)
    rerate.calibrate(rated.library, settings, rated.now)
    rerate.write(rated.library, settings)
    again = rerate.calibrate(rated.library, settings, rated.now)
    assert (again.to_rate, again.to_retag) == (0, 0)
    separate = settings.model_copy(
        update={"rating": settings.rating.model_copy(update={"pairs": "separate"})}
    )
    found = rerate.calibrate(rated.library, separate, rated.now)
    assert (found.to_rate, found.to_retag) == (0, 2)
    assert [name for name, *_ in rated.jobs()] == ["a.dng", "a.jpg"]
    off = settings.model_copy(update={"rating": settings.rating.model_copy(update={"mode": "off"})})
    rated.write("delete from jobs")
    assert rerate.calibrate(rated.library, off, rated.now).to_retag == 0
    assert rated.jobs() == []


def test_a_full_disk_leaves_its_photos_for_the_next_run_and_is_named(
    rated: RatedLibrary, settings: Settings
) -> None:
    for name in ("a.jpg", "b.jpg"):
        rated.add(name)
    rated.writer.problems["a.jpg"] = NoSpace("The disk is full.")
    rerate.calibrate(rated.library, settings, rated.now)
    tally = rerate.write(rated.library, settings)
    assert (tally.rated, tally.offline) == (1, ["The disk is full."])
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]


def test_a_server_that_does_not_answer_holds_up_no_other_disk(
    rated: RatedLibrary, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rated.add("away/a.jpg", device=7)
    rated.add("here/b.jpg")

    def ping(probe: FilesystemProbe, path: str) -> None:
        if "away" in path:
            raise NoAnswer("The folder away does not answer.")

    monkeypatch.setattr(FilesystemProbe, "ping", ping)
    rerate.calibrate(rated.library, settings, rated.now)
    tally = rerate.write(rated.library, settings)
    assert (tally.rated, tally.offline) == (1, ["The folder away does not answer."])
    assert rated.jobs() == [("a.jpg", "rate", "ready", 0)]
    assert rated.writer.prepared == [["b.jpg"]]


def calibration(source: str) -> Calibration:
    return Calibration(1, 3, EDGES, 1200, source, "2026-01-01T00:00:00Z")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            RateResult(calibration("library"), 36, 0),
            "Calibration 3 from your 1200 photos: 2, 3, 4 and 5 stars begin at the scores 0.2000, 0.4000, "
            "0.6000, 0.8000. The stars of 36 photos change.",
        ),
        (
            RateResult(calibration("absolute"), 1, 0),
            "Calibration 3 from rating.edges of the configuration: 2, 3, 4 and 5 stars begin at the scores "
            "0.2000, 0.4000, 0.6000, 0.8000. The stars of 1 photo change.",
        ),
    ],
)
def test_the_result_names_the_origin_of_the_edges(result: RateResult, sentence: str) -> None:
    assert result.sentence() == sentence


def test_in_a_library_too_small_for_stars_the_result_names_the_next_command() -> None:
    sentence = RateResult(None, 0, 0).sentence()
    assert "`maclip run FOLDER`" in sentence
    assert "rating.minimum_photos" in sentence
