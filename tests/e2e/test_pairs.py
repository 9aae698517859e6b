"""A RAW and its JPEG are one shot."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.homes import Home, make_photo, make_photos

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import write_dng


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
