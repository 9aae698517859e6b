"""Stars and edits that exist in darktable's libraries alone: maclip writes nothing over them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maclip_daemon.errors import MaclipError, Transient
from maclip_daemon.metadata.records import FoundRating, Prepared, QualityProperties, RatingRequest
from maclip_daemon.pipeline.rating.darktable_check import CheckedPhoto, DarktableCheck
from tests.darktable_home import DarktableHome
from tests.rated_library import RatedLibrary, sidecar_of

QUALITY = QualityProperties(0.5, 50.0, 3, "maclip", "test", "native", datetime(2026, 1, 1, tzinfo=UTC))
REJECTED = 8


def prepare(rated: RatedLibrary, name: str) -> Prepared:
    """Prepare a write for a new photo."""
    result = rated.writer.prepare(RatingRequest(rated.folder / name, QUALITY))
    assert result.status == "prepared"
    return result


def check(
    rated: RatedLibrary,
    *results: Prepared | MaclipError,
    configured: tuple[str, ...] = ("auto",),
    last_written: int | None = None,
    photo_id: int = 0,
    over_first_star: bool = False,
) -> list[Prepared | MaclipError]:
    asked = [CheckedPhoto(photo_id, last_written, over_first_star) for _ in results]
    return DarktableCheck(rated.library, rated.writer, configured).apply(results, asked)


def verdict(rated: RatedLibrary, name: str, **how: object) -> str:
    """Return what becomes of a new sidecar: its status, and the rating when it is a person's."""
    photo_id = rated.add(name)
    (result,) = check(rated, prepare(rated, name), photo_id=photo_id, **how)  # type: ignore[arg-type]
    assert isinstance(result, Prepared)
    has_temporary = bool(list(rated.folder.glob(".maclip-*")))
    assert has_temporary == (result.status == "prepared"), "what is not written is discarded"
    for stray in rated.folder.glob(".maclip-*"):
        stray.unlink()
    if result.status != "person":
        return result.status
    assert result.found is not None
    assert result.found.owner == "person"
    return f"person's {result.found.rating}"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (0, "prepared"),
        (1, "skipped"),
        (2, "person's 2"),
        (4, "person's 4"),
        (5 | 1 << 10, "person's 5"),
        (REJECTED, "person's -1"),
        (3 | REJECTED, "person's -1"),
        (6, "person's -1"),
    ],
)
def test_stars_in_darktables_library_are_a_persons_unless_they_may_be_its_own_first_star(
    rated: RatedLibrary, darktable: DarktableHome, flags: int, expected: str
) -> None:
    darktable.add("a.jpg", flags)
    assert verdict(rated, "a.jpg") == expected
    assert verdict(rated, "unknown.jpg") == "prepared"


def test_the_first_star_is_the_one_that_darktable_is_set_to(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    for name, stars in (("a.jpg", 1), ("b.jpg", 3)):
        darktable.add(name, stars)
    darktable.set("ui_last/import_initial_rating=3")
    assert (verdict(rated, "a.jpg"), verdict(rated, "b.jpg")) == ("person's 1", "skipped")
    darktable.set("ui_last/import_initial_rating=0")
    assert (verdict(rated, "a.jpg"), verdict(rated, "b.jpg")) == ("skipped", "person's 3"), (
        "it gave one before"
    )


@pytest.mark.parametrize(
    ("stars", "touched_s", "expected"),
    [
        (1, 0, "prepared"),
        (1, 1, "prepared"),
        (1, 2, "skipped"),
        (1, None, "skipped"),
        (4, 0, "person's 4"),
        (4, 60, "person's 4"),
    ],
)
def test_darktable_5_tells_a_first_star_that_nobody_pressed(
    rated: RatedLibrary, darktable: DarktableHome, stars: int, touched_s: float | None, expected: str
) -> None:
    darktable.add("a.jpg", stars, touched_s=touched_s)
    assert verdict(rated, "a.jpg") == expected


def test_the_first_star_is_replaced_once_the_person_allows_it(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    darktable.add("a.jpg", 1)
    darktable.add("b.jpg", 2)
    assert verdict(rated, "a.jpg", over_first_star=True) == "prepared"
    assert verdict(rated, "b.jpg", over_first_star=True) == "person's 2"


def test_what_the_reason_says_leads_on(rated: RatedLibrary, darktable: DarktableHome) -> None:
    darktable.add("first.jpg", 1)
    darktable.add("edited.jpg", 0, "edited")
    for name in ("first.jpg", "edited.jpg"):
        rated.add(name)
    first, edited = check(rated, prepare(rated, "first.jpg"), prepare(rated, "edited.jpg"))
    assert isinstance(first, Prepared)
    assert isinstance(edited, Prepared)
    assert "--over-first-stars" in first.reason
    assert "write sidecar files" in edited.reason


def test_only_edits_of_a_person_forbid_a_new_sidecar(rated: RatedLibrary, darktable: DarktableHome) -> None:
    darktable.add("edited.jpg", 0, "edited")
    darktable.add("automatic.jpg", 0, "auto")
    darktable.add("duplicate.jpg", 0)
    darktable.add("duplicate.jpg", 4, "edited")
    assert verdict(rated, "edited.jpg") == "skipped"
    assert verdict(rated, "automatic.jpg") == "prepared"
    assert verdict(rated, "duplicate.jpg") == "skipped"


def test_the_stars_of_a_duplicate_are_in_its_own_sidecar(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    darktable.add("a.jpg", 0)
    darktable.add("a.jpg", 4)
    assert verdict(rated, "a.jpg") == "prepared"


def test_a_sidecar_that_exists_holds_the_edits_already(rated: RatedLibrary, darktable: DarktableHome) -> None:
    darktable.add("edited.jpg", 0, "edited")
    rated.add("edited.jpg")
    sidecar_of(rated.folder / "edited.jpg").write_bytes(b"darktable's own")
    result = prepare(rated, "edited.jpg")
    assert check(rated, result) == [result]


def test_a_star_that_a_sidecar_of_darktable_does_not_hold_any_more_was_taken_away(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    darktable.add("a.jpg", 4)
    rated.add("a.jpg")
    sidecar_of(rated.folder / "a.jpg").write_bytes(b"of some program, unrated")
    result = prepare(rated, "a.jpg")
    (found,) = check(rated, result)
    assert isinstance(found, Prepared)
    assert found.status == "person", "another program's sidecar says nothing of darktable's stars"
    assert result.found is not None
    by_darktable = replace(prepare(rated, "a.jpg"), found=replace(result.found, by_darktable=True))
    assert check(rated, by_darktable) == [by_darktable]
    darktable.set("write_sidecar_files=never")
    (found,) = check(rated, by_darktable)
    assert isinstance(found, Prepared)
    assert found.status == "person", "darktable has stopped writing it"


def test_stars_that_maclip_wrote_and_darktable_read_are_maclips(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    photo_id = rated.add("a.jpg")
    for stars, state in ((2, "undone"), (4, "written"), (5, "abandoned")):
        rated.write(
            "insert into rating_journal (photo_id, target_path, kind, state, after_hash, stars_written,"
            f" intended_at) values ({photo_id}, '/a', 'sidecar', '{state}', 'x', {stars}, '2026')"
        )
    for stars, expected in ((2, "prepared"), (4, "prepared"), (5, "person")):
        (darktable.folder / "library.db").unlink(missing_ok=True)
        darktable.add("a.jpg", stars)
        (found,) = check(rated, prepare(rated, "a.jpg"), photo_id=photo_id)
        assert isinstance(found, Prepared)
        assert found.status == expected, stars


def test_a_first_star_that_maclip_replaced_stays_replaced(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    darktable.set("ui_last/import_initial_rating=0")
    darktable.add("a.jpg", 3)
    photo_id = rated.add("a.jpg")
    rated.write(
        "insert into rating_journal (photo_id, target_path, kind, state, after_hash, stars_before,"
        f" stars_written, intended_at) values ({photo_id}, '/a', 'sidecar', 'written', 'x', 3, 5, '2026')"
    )
    (found,) = check(rated, prepare(rated, "a.jpg"), photo_id=photo_id)
    assert isinstance(found, Prepared)
    assert found.status == "prepared"


def test_a_file_with_maclips_stars_gives_way_to_a_person_in_darktable(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    rated.add("a.jpg")
    ours = FoundRating("maclip", 3, 3, sidecar_of(rated.folder / "a.jpg"), None)
    unchanged = Prepared(rated.folder / "a.jpg", "unchanged", 3, found=ours)
    for stars, expected in ((3, "unchanged"), (1, "unchanged"), (0, "unchanged"), (4, "person")):
        (darktable.folder / "library.db").unlink(missing_ok=True)
        darktable.add("a.jpg", stars)
        (found,) = check(rated, unchanged)
        assert isinstance(found, Prepared)
        assert found.status == expected, stars


def test_stars_taken_away_in_darktable_stay_away_when_it_deleted_the_sidecar(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    darktable.add("a.jpg", 0)
    assert verdict(rated, "a.jpg", last_written=4) == "person's 0"
    assert verdict(rated, "a.jpg") == "prepared", "maclip has not rated it before"
    darktable.set("ui_last/import_initial_rating=0")
    assert verdict(rated, "a.jpg", last_written=4) == "prepared", "nobody needs to have taken them away"


def test_every_library_of_every_configuration_folder_counts(
    rated: RatedLibrary, darktable: DarktableHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    darktable.add("a.jpg", 4, library=darktable.library("library-wedding.db"))
    darktable.library()
    flatpak = DarktableHome(tmp_path / "home/.var/app/org.darktable.Darktable/config/darktable", rated.folder)
    flatpak.add("b.jpg", 0, "edited")
    elsewhere = DarktableHome(tmp_path / "elsewhere", rated.folder)
    elsewhere.add("c.jpg", 5)
    assert [verdict(rated, f"{name}.jpg") for name in "abc"] == ["person's 4", "skipped", "prepared"]
    both = ("auto", str(elsewhere.folder))
    found = [verdict(rated, f"{name}.jpg", configured=both) for name in "abc"]
    assert found == ["person's 4", "skipped", "person's 5"]
    alone = (str(elsewhere.folder / "library.db"),)
    found = [verdict(rated, f"{name}.jpg", configured=alone) for name in "abc"]
    assert found == ["prepared", "prepared", "person's 5"]


def test_an_empty_library_and_one_of_darktable_2_do_not_stop_the_work(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    (darktable.folder / "library-empty.db").touch()
    old = darktable.library("library-old.db", is_old=True)
    darktable.add("a.jpg", 0, "any", library=old)
    assert verdict(rated, "a.jpg") == "skipped"
    assert verdict(rated, "b.jpg") == "prepared"


def test_photos_below_a_link_are_found_under_their_real_names(
    rated: RatedLibrary, darktable: DarktableHome, tmp_path: Path
) -> None:
    darktable.add("a.jpg", 4)
    rated.add("a.jpg")
    (tmp_path / "link").symlink_to(rated.folder)
    result = rated.writer.prepare(RatingRequest(tmp_path / "link" / "a.jpg", QUALITY))
    (found,) = check(rated, result)
    assert isinstance(found, Prepared)
    assert found.status == "person"


def test_photos_that_darktable_knows_through_a_link_are_found(
    rated: RatedLibrary, darktable: DarktableHome, tmp_path: Path
) -> None:
    """As on systems where /home is a link to /var/home."""
    (tmp_path / "link").symlink_to(tmp_path)
    darktable.photos = tmp_path / "link" / "photos"
    darktable.add("a.jpg", 4)
    (tmp_path / "other" / "photos").mkdir(parents=True)
    darktable.photos = tmp_path / "other" / "photos"
    darktable.add("b.jpg", 4, library=darktable.library("library-other.db"))
    assert verdict(rated, "a.jpg") == "person's 4"
    assert verdict(rated, "b.jpg") == "prepared", "of another folder with the same name"


@pytest.mark.parametrize("configured", [("auto",), ("{folder}/gone.db",)])
def test_while_a_library_cannot_be_read_nothing_is_written(
    rated: RatedLibrary, darktable: DarktableHome, configured: tuple[str, ...]
) -> None:
    (darktable.folder / "library-damaged.db").write_bytes(b"no database" * 100)
    rated.add("a.jpg")
    entries = tuple(entry.format(folder=darktable.folder) for entry in configured)
    (result,) = check(rated, prepare(rated, "a.jpg"), configured=entries)
    assert isinstance(result, Transient)
    assert "rating.darktable_library" in str(result)
    assert list(rated.folder.glob(".maclip-*")) == []


def test_darktable_is_not_asked_where_the_setting_is_off_or_nothing_is_written(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    (darktable.folder / "library.db").write_bytes(b"no database" * 100)
    rated.add("a.jpg")
    result = prepare(rated, "a.jpg")
    assert check(rated, result, configured=("off",)) == [result]
    failed = Transient("It could not be written.")
    skipped = Prepared(rated.folder / "a.jpg", "skipped", 3)
    assert check(rated, failed, skipped) == [failed, skipped]


def test_a_configured_folder_that_is_not_mounted_is_no_folder_without_libraries(
    rated: RatedLibrary, tmp_path: Path
) -> None:
    rated.add("a.jpg")
    unmounted = tmp_path / "darktable"
    unmounted.mkdir()
    (result,) = check(rated, prepare(rated, "a.jpg"), configured=("auto", str(unmounted)))
    assert isinstance(result, Transient)


def test_settings_of_darktable_that_cannot_be_read_are_not_the_default(
    rated: RatedLibrary, darktable: DarktableHome
) -> None:
    darktable.add("a.jpg", 5)
    (darktable.folder / "darktablerc").unlink()
    (darktable.folder / "darktablerc").mkdir()  # what root may not read, either
    rated.add("a.jpg")
    (result,) = check(rated, prepare(rated, "a.jpg"))
    assert isinstance(result, Transient)


def test_a_configured_folder_in_which_darktable_has_no_library_yet_holds_nothing_back(
    rated: RatedLibrary, tmp_path: Path
) -> None:
    rated.add("a.jpg")
    folder = tmp_path / "darktable"
    folder.mkdir()
    (folder / "darktablerc").touch()
    (folder / "library.db").touch()
    (result,) = check(rated, prepare(rated, "a.jpg"), configured=(str(folder),))
    assert isinstance(result, Prepared)
