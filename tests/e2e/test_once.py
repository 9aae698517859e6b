"""`maclip run --once`: one pass over a folder of photos."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.homes import Home, contents, make_photo, make_photos

SHARED = Path(__file__).parents[3] / "shared"


def test_every_photo_is_scored_and_rated_and_no_original_changes(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    before = contents(home.photos)
    output = home.maclip("run", "--once", home.photos).stdout
    assert "6 scored, 6 rated" in output
    assert set(home.scored()) == {photo.name for photo in photos}
    after = contents(home.photos)
    assert {path: data for path, data in after.items() if path.suffix == ".jpg"} == before
    assert {path.name for path in after if path.suffix == ".xmp"} == {f"{photo.name}.xmp" for photo in photos}
    stars = {name: stars for name, stars in home.sql("select file_name, stars from photo_quality")}
    for photo in photos:
        sidecar = Path(f"{photo}.xmp").read_text("utf-8")
        assert f'xmp:Rating="{stars[photo.name]}"' in sidecar
    assert {1, 5} <= set(stars.values())


def test_a_second_pass_finds_nothing_to_do_and_writes_nothing(home: Home) -> None:
    make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in contents(home.photos)}
    assert "Nothing to do." in home.maclip("run", "--once", home.photos).stdout
    assert {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in contents(home.photos)} == before
    assert home.sql("select count(*) from rating_journal") == [(6,)]


def test_a_broken_photo_is_named_with_its_reason_and_the_exit_code_is_1(home: Home) -> None:
    make_photos(home.photos, 2)
    broken = home.photos / "broken.jpg"
    broken.write_bytes((home.photos / "IMG_0000.jpg").read_bytes()[:9000])
    text = home.photos / "letter.jpg"
    text.write_text("Dear photographer")
    done = home.maclip("run", "--once", home.photos, expect=1)
    failures = [line for line in done.stderr.splitlines() if line.startswith("failed:")]
    assert len(failures) == 2
    assert any(str(broken) in line for line in failures)
    assert any(str(text) in line for line in failures)
    assert set(home.scored()) == {"IMG_0000.jpg", "IMG_0001.jpg"}
    assert dict(home.sql("select path, attempts from photo_failures")).keys() == {str(broken), str(text)}
    assert home.sql("select kind, count(*) from photo_failures group by kind") == [
        ("damaged, or no photo", 2)
    ]
    # The next pass does not try failed photos again; `retry` does.
    home.maclip("run", "--once", home.photos, expect=0)
    assert "2 photos to try again" in home.maclip("retry").stdout
    home.maclip("run", "--once", home.photos, expect=1)


def test_worst_lists_the_lowest_scores_first_in_every_format(home: Home) -> None:
    make_photos(home.photos, 6)
    make_photos(home.photos / "other", 2, first=10)
    home.maclip("run", "--once", home.photos)
    scores = dict(home.sql("select path, score from photo_quality"))
    expected = sorted(scores, key=lambda path: scores[path])
    paths = home.maclip("worst", "-n", "3", "--format", "paths").stdout.splitlines()
    assert paths == expected[:3]
    assert home.maclip("best", "-n", "3", "--format", "paths").stdout.splitlines() == expected[::-1][:3]
    zero = home.maclip("worst", "-n", "3", "--format", "paths0").stdout
    assert zero == "".join(f"{path}\0" for path in expected[:3])
    rows = [json.loads(line) for line in home.maclip("worst", "--format", "json").stdout.splitlines()]
    assert [row["path"] for row in rows] == expected
    heading = home.maclip("worst", "--format", "csv").stdout.splitlines()[0]
    assert heading.startswith("path,folder,file_name,score")
    under = home.maclip("worst", "--under", home.photos / "other", "-f", "paths").stdout.splitlines()
    assert sorted(under) == sorted(path for path in scores if "/other/" in path)
    assert expected[0] in home.maclip("worst").stdout


def test_a_photo_that_a_person_rated_is_left_alone(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    sidecar = Path(f"{photos[0]}.xmp")
    sidecar.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/>\n'
        " </rdf:RDF>\n</x:xmpmeta>\n"
    )
    mine = sidecar.read_bytes()
    output = home.maclip("run", "--once", home.photos).stdout
    assert "1 left alone with your own rating" in output
    assert sidecar.read_bytes() == mine
    assert home.sql(
        "select rating_in_file, rating_owner from photo_quality where file_name = ?", photos[0].name
    ) == [(4, "person")]


def test_undo_restores_every_file_and_names_those_it_left_alone(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    ours = Path(f"{photos[1]}.xmp")
    ours.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:source="a scan"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    before = contents(home.photos)
    home.maclip("run", "--once", home.photos)
    assert len(home.maclip("undo", "--dry-run").stdout.splitlines()) == 6
    changed = Path(f"{photos[2]}.xmp")
    changed.write_text(changed.read_text().replace("</x:xmpmeta>", "<!-- mine --></x:xmpmeta>"))
    mine = changed.read_bytes()
    done = home.maclip("undo", expect=1)
    assert str(changed) in done.stderr
    assert done.stdout == (
        "4 sidecars removed, 1 file restored; 1 left alone for the reasons listed above.\n"
    )
    after = contents(home.photos)
    assert b"<!-- mine -->" in mine
    assert after.pop(changed) == mine
    assert after == before
    # Undone photos are not rated again until `maclip rate`.
    home.maclip("run", "--once", home.photos)
    assert {path for path in contents(home.photos) if path.suffix == ".xmp"} == {ours, changed}
    assert "The stars of 5 photos change." in home.maclip("rate", "--dry-run").stdout
    home.maclip("rate")
    assert len([path for path in contents(home.photos) if path.suffix == ".xmp"]) == 6


def test_another_model_scores_everything_again_and_keeps_the_old_scores(home: Home, tmp_path: Path) -> None:
    from maclip_daemon.iqa.models import seeded_checkpoint

    make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    first = home.scored()
    other = tmp_path / "other.safetensors"
    seeded_checkpoint.write_seeded_checkpoint(other, seed=1)
    home.maclip("run", "--once", home.photos, "--model", f"file:{other}")
    second = home.scored()
    assert first.keys() == second.keys()
    assert first != second
    assert home.sql("select count(*) from scores") == [(12,)]


def test_a_copy_and_a_rename_keep_the_score_without_scoring_again(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    scores = home.scored()
    photos[0].rename(home.photos / "renamed.jpg")
    shutil.copy(photos[1], home.photos / "copy.jpg")
    output = home.maclip("run", "--once", home.photos).stdout
    now = home.scored()
    assert now["renamed.jpg"] == scores[photos[0].name]
    assert now["copy.jpg"] == scores[photos[1].name]
    assert photos[0].name not in now
    assert "1 scored, 1 of them copies of scored photos" in output


@pytest.mark.long_form
def test_an_emptied_root_pauses_and_no_photo_is_forgotten(home: Home) -> None:
    make_photos(home.photos, 6)
    home.maclip("run", "--once", home.photos)
    away = home.folder / "unmounted"
    home.photos.rename(away)
    home.photos.mkdir()
    assert str(home.photos) in home.maclip("run", "--once", home.photos, expect=3).stderr
    assert home.sql("select distinct state from photo_quality") == [("missing",)]
    assert home.sql("select count(*) from scores") == [(6,)]
    status = home.json("status", "--json")
    assert status["photos"]["missing"] == 6
    assert status["folders"][0]["state"] == "paused"
    home.photos.rmdir()
    away.rename(home.photos)
    output = home.maclip("run", "--once", home.photos).stdout
    assert len(home.scored()) == 6
    assert "scored" not in output


@pytest.mark.skipif(not (SHARED / "golden").is_dir(), reason="no golden checkpoint beside this checkout")
def test_real_photos_are_scored_with_the_golden_checkpoint(home: Home) -> None:
    shutil.copytree(SHARED / "data/photos", home.photos / "real")
    files = [path for path in home.photos.rglob("*") if path.is_file()]
    before = {path: hashlib.sha256(path.read_bytes()).digest() for path in files}
    # The other files of that folder are intact: libjpeg decodes them to the last row without a warning.
    # wrong.heic holds a picture of another kind, and is read by what it holds.
    names = {"corrupted.jpg", "invalid_image.png"}
    broken = {path for path in files if path.parent.name == "broken" and path.name in names}
    model = f"file:{SHARED}/golden/checkpoint.pt"
    done = home.maclip("run", "--once", home.photos, "--model", model, expect=1)
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in files} == before
    failed = {path for (path,) in home.sql("select path from photo_failures")}
    assert failed == {str(path) for path in broken}
    for path in broken:
        assert str(path) in done.stderr
    assert len(home.scored()) == len(files) - len(broken)


@pytest.mark.long_form
def test_a_tiny_photo_and_an_extreme_aspect_ratio_are_scored(home: Home) -> None:
    make_photo(home.photos / "tiny.png", 1, (40, 30))
    make_photo(home.photos / "panorama.jpg", 2, (4000, 240))
    home.maclip("run", "--once", home.photos)
    assert set(home.scored()) == {"tiny.png", "panorama.jpg"}


@pytest.mark.long_form
def test_embedded_ratings_queue_no_job_and_undo_restores_the_photos(home: Home) -> None:
    photos = make_photos(home.photos, 5)
    before = contents(home.photos)
    home.maclip("run", "--once", home.photos, "--mode", "embed")
    embedded = contents(home.photos)
    assert embedded.keys() == before.keys()
    assert all(embedded[path] != before[path] for path in photos)
    assert "Nothing to do." in home.maclip("run", "--once", home.photos, "--mode", "embed").stdout
    home.maclip("undo")
    assert contents(home.photos) == before


def test_a_persons_rating_after_ours_is_found_at_the_next_start(home: Home) -> None:
    photos = make_photos(home.photos, 5)
    home.maclip("run", "--once", home.photos)
    sidecar = Path(f"{photos[0]}.xmp")
    ours = sidecar.read_text("utf-8")
    stars = dict(home.sql("select file_name, stars from photo_quality"))[photos[0].name]
    sidecar.write_text(ours.replace(f'xmp:Rating="{stars}"', f'xmp:Rating="{stars % 5 + 1}"'), "utf-8")
    later = sidecar.stat().st_mtime + 60  # a person takes longer than this test
    os.utime(sidecar, (later, later))
    home.maclip("run", "--once", home.photos)
    assert home.sql(
        "select rating_owner, rating_in_file from photo_quality where file_name = ?", photos[0].name
    ) == [("person", stars % 5 + 1)]
    assert "your own; maclip never changes it" in home.maclip("show", photos[0]).stdout


@pytest.mark.long_form
def test_undo_finds_a_sidecar_whose_photo_moved_without_it(home: Home) -> None:
    photos = make_photos(home.photos, 5)
    before = set(contents(home.photos))
    home.maclip("run", "--once", home.photos)
    album = home.photos / "album"
    album.mkdir()
    photos[0].rename(album / photos[0].name)
    home.maclip("run", "--once", home.photos)
    assert len(list(home.photos.rglob("*.xmp"))) == 6
    home.maclip("undo")
    assert set(contents(home.photos)) == before - {photos[0]} | {album / photos[0].name}


@pytest.mark.long_form
def test_heat_maps_and_backups_overwrite_no_existing_file(home: Home) -> None:
    photo = make_photos(home.photos, 1)[0]
    home.maclip("run", "--once", home.photos)
    before = photo.read_bytes()
    assert "exists already" in home.maclip("show", photo, "--heatmap", photo, expect=2).stderr
    assert "exists already" in home.maclip("db", "backup", photo, expect=2).stderr
    assert photo.read_bytes() == before
    home.maclip("show", photo, "--heatmap", home.folder / "map.png")
    with Image.open(home.folder / "map.png") as heatmap, Image.open(photo) as original:
        assert (heatmap.width, heatmap.height > original.height) == (original.width, True)  # a legend below
    home.maclip("db", "backup", home.folder)
    (backup,) = home.folder.glob("library-*.backup.db")
    assert backup.read_bytes()[:15] == b"SQLite format 3"
    assert "no problem found" in home.maclip("db", "check").stdout


def test_a_fault_is_measured_named_and_written_beside_the_stars(home: Home) -> None:
    photos = make_photos(home.photos, 6)
    with Image.open(photos[0]) as image:
        blown = image.convert("RGB")
    blown.paste("white", (0, 0, blown.width, blown.height // 2))
    blown.save(photos[0], quality=95)
    home.maclip("run", "--once", home.photos)
    shown = home.maclip("show", photos[0]).stdout
    assert "highlights clipped: 50 %" in shown
    assert "a model's opinion, not measured" in shown
    row = json.loads(home.maclip("show", "--json", photos[0]).stdout)["quality"]
    assert row["clipped_highlights"] == pytest.approx(50, abs=1)
    assert row["true_megapixels"] == pytest.approx(0.3072)
    assert "highlights clipped: 50 %" in row["reasons"]
    rows = [json.loads(line) for line in home.maclip("worst", "--format", "json").stdout.splitlines()]
    assert {each["file_name"] for each in rows if "clipped" in (each["reasons"] or "")} == {photos[0].name}
    sidecar = photos[0].with_name(f"{photos[0].name}.xmp")
    assert "highlights clipped: 50 %" in sidecar.read_text("utf-8")
    before = contents(home.photos)
    home.maclip("run", "--once", home.photos)
    assert contents(home.photos) == before
    home.maclip("undo")
    assert not sidecar.exists()
