"""A RAW and its JPEG are one shot."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from tests.homes import Home, make_photo, make_photos, until

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng

PERSONS = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"/></rdf:RDF>'
    "</x:xmpmeta>"
)


def stars_in(sidecar: Path) -> int:
    found = re.search(r'xmp:Rating="(\d)"', sidecar.read_text("utf-8"))
    assert found
    return int(found[1])


def press(star: int, sidecar: Path) -> None:
    """Give a photo another star, as a photo manager does."""
    sidecar.write_text(
        re.sub(r'xmp:Rating="\d"', f'xmp:Rating="{star}"', sidecar.read_text("utf-8")), "utf-8"
    )


def shot(home: Home, number: int) -> tuple[Path, Path]:
    jpeg = make_photo(home.photos / f"SHOT_{number}.jpg", 70 + number, blur=3 * number)
    return write_dng(home.photos / f"SHOT_{number}.dng", 320 + 64 * number, 240), jpeg


def test_both_files_of_a_shot_get_the_stars_of_the_raw_and_count_once(home: Home) -> None:
    make_photos(home.photos, 6)
    shots = [shot(home, number) for number in range(3)]
    assert "12 scored, 12 rated" in home.maclip("run", "--once", home.photos).stdout
    assert home.sql("select photo_count from calibrations") == [(9,)]
    rows = dict(home.sql("select file_name, stars from photo_quality"))
    for raw, jpeg in shots:
        stars = {stars_in(Path(f"{path}.xmp")) for path in (raw, jpeg)}
        assert stars == {rows[raw.name]} == {rows[jpeg.name]}
    assert "Nothing to do." in home.maclip("run", "--once", home.photos).stdout
    # The RAW arrives after its JPEG was rated: the JPEG follows it.
    late = make_photo(home.photos / "LATE.jpg", 80)
    home.maclip("run", "--once", home.photos)
    raw = write_dng(home.photos / "LATE.dng", 512, 300, brightness=0.05)
    home.maclip("run", "--once", home.photos)
    rows = dict(home.sql("select file_name, stars from photo_quality"))
    assert stars_in(Path(f"{late}.xmp")) == stars_in(Path(f"{raw}.xmp")) == rows["LATE.dng"]
    # Each file has its own stars when the settings ask for that.
    home.maclip("rate", MACLIP_RATING__PAIRS="separate")
    assert home.sql("select photo_count from calibrations order by number desc limit 1") == [(14,)]
    rows = dict(home.sql("select file_name, stars from photo_quality"))
    assert all(stars_in(Path(f"{home.photos / name}.xmp")) == stars for name, stars in rows.items())
    assert home.sql("select count(*) from photo_pairs") == [(0,)]
    # A person's star in one file is the verdict on both, and so is the next one.
    home.maclip("rate")
    raw, jpeg = (Path(f"{path}.xmp") for path in shots[0])
    for star in sorted({1, 3, 5} - {stars_in(raw), stars_in(jpeg)})[:2]:
        press(star, raw)
        home.maclip("run", "--once", home.photos)
        assert stars_in(jpeg) == stars_in(raw) == star


def mine(home: Home) -> dict[str, int | None]:
    return dict(home.sql("select file_name, my_stars from photo_quality where file_name like 'SHOT%'"))


def test_stars_that_a_person_takes_away_from_one_file_of_a_shot_go_from_the_other_one_too(home: Home) -> None:
    """The star was pressed before maclip saw the file: its sidecar has none of maclip's properties."""
    make_photos(home.photos, 6)
    jpeg = make_photo(home.photos / "SHOT_0.jpg", 70)
    home.maclip("run", "--once", home.photos)
    raw = write_dng(home.photos / "SHOT_0.dng", 320, 240)  # copied later, with what was pressed in the camera
    persons, copy = Path(f"{raw}.xmp"), Path(f"{jpeg}.xmp")
    persons.write_text(PERSONS, "utf-8")
    home.maclip("run", "--once", home.photos)
    assert stars_in(copy) == 5
    for star in (2, 0, 4, 0):  # between two runs
        press(star, persons)
        os.utime(persons, (time.time() + 2, time.time() + 2))  # nobody is as quick as this test
        home.maclip("run", "--once", home.photos)
        assert (stars_in(copy), stars_in(persons)) == (star, star)
        assert mine(home) == {jpeg.name: star, raw.name: star}
    assert not re.search(r"\d (scored|rated)", home.maclip("run", "--once", home.photos).stdout)
    home.maclip("rate", MACLIP_RATING__SHARES="[40, 30, 10, 10, 10]")
    assert (stars_in(copy), stars_in(persons)) == (0, 0)
    home.maclip("rate", "--again", jpeg)
    assert mine(home) == {jpeg.name: None, raw.name: None}
    assert stars_in(copy) == stars_in(persons) > 0


def test_a_running_daemon_knows_that_a_person_took_back_the_only_star_of_a_shot(home: Home) -> None:
    make_photos(home.photos, 6)
    raw, jpeg = shot(home, 1)
    persons = Path(f"{raw}.xmp")
    persons.write_text(PERSONS, "utf-8")
    daemon = home.daemon()
    until(lambda: mine(home) == {jpeg.name: 5, raw.name: 5} and home.is_at_rest(), "the person's star")
    press(0, persons)
    until(lambda: mine(home) == {jpeg.name: 0, raw.name: 0} and home.is_at_rest(), "that it was taken back")
    jpeg.write_bytes(jpeg.read_bytes() + b" ")  # looked at again for another reason
    until(lambda: home.sql("select count(*) from photos where state = 'waiting'") == [(0,)], "the score")
    until(home.is_at_rest, "the stars")
    home.stop(daemon)
    assert stars_in(persons) == 0
    assert not Path(f"{jpeg}.xmp").exists()


def test_the_sidecar_of_a_jpeg_follows_where_its_raw_comes_and_goes_behind_the_same_stars(home: Home) -> None:
    make_photos(home.photos, 6)
    raw, jpeg = shot(home, 1)
    all_alike = {"MACLIP_RATING__EDGES": "[0.0001, 0.0002, 0.0003, 0.0004]"}  # five stars for everything
    home.maclip("run", "--once", home.photos, **all_alike)

    def score_in(sidecar: Path) -> str:
        found = re.search(r'maclip:Score="([\d.]+)"', sidecar.read_text("utf-8"))
        assert found
        return found[1]

    def agrees() -> bool:
        return "no problem found" in home.maclip("db", "check", "--sidecars", expect=None).stdout

    beside = Path(f"{jpeg}.xmp")
    of_the_raw = score_in(beside)
    assert score_in(Path(f"{raw}.xmp")) == of_the_raw
    home.maclip("rate", **all_alike, MACLIP_RATING__PAIRS="separate")
    assert score_in(beside) != of_the_raw
    assert agrees()
    home.maclip("rate", **all_alike)
    assert score_in(beside) == of_the_raw
    assert agrees()
    # Another name for the RAW, and a calibration that comes by itself.
    raw.rename(raw.with_name("OTHER.dng"))
    Path(f"{raw}.xmp").rename(home.photos / "OTHER.dng.xmp")
    make_photos(home.photos / "more", 9)
    home.maclip("run", "--once", home.photos, **all_alike)
    assert score_in(beside) != of_the_raw
    assert agrees()
    # It gets the name of a shot again, and another RAW takes its place.
    (home.photos / "OTHER.dng").rename(raw)
    (home.photos / "OTHER.dng.xmp").rename(f"{raw}.xmp")
    home.maclip("run", "--once", home.photos, **all_alike)
    home.maclip("rate", **all_alike)
    assert score_in(beside) == of_the_raw
    assert agrees()
