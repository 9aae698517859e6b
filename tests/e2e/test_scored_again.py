"""Another protocol scores the whole library again: newest first, behind new photos, and stars follow once."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.misbehaving_device import Device
from tests.homes import Home, contents, make_photo, until

AGAIN = {"MACLIP_SCORING__PROTOCOL": "detail-8"}
ONE_BY_ONE = {"MACLIP_SCORING__BATCH_PHOTOS": "1", "MACLIP_DECODING__WORKERS": "1"}
QUEUED = "select 1 from jobs join photos on photos.id = photo_id where kind = 'score' and file_name = ?"
SIZE = (960, 640)


def sidecars(home: Home) -> dict[Path, bytes]:
    return {path: data for path, data in contents(home.photos).items() if path.suffix == ".xmp"}


def make(home: Home, number: int) -> Path:
    """Make a photo; a higher number is newer."""
    path = make_photo(home.photos / f"IMG_{number:04d}.jpg", number, SIZE)
    moment = 1_780_000_000 + 86_400 * number
    os.utime(path, (moment, moment))
    return path


def test_a_library_is_scored_again_behind_new_photos_and_its_stars_follow_once(home: Home) -> None:
    old = [make(home, number) for number in range(8)]
    home.maclip("run", "--once", home.photos)
    before, former = sidecars(home), dict(home.sql("select file_name, score from photo_quality"))
    assert len(before) == len(former) == 8
    assert set(home.sql("select overall_score = score, detail_score from photo_quality")) == {(1, None)}
    persons = Path(f"{old[2]}.xmp")
    written = before[persons].split(b'xmp:Rating="')[1][:1]
    mine = b"1" if written == b"5" else b"5"
    persons.write_bytes(before[persons].replace(b'xmp:Rating="' + written, b'xmp:Rating="' + mine))

    device = Device(home.folder / "device")
    with device.blocked_after(2):  # most of the old ones are left when the new one comes
        daemon = home.daemon(home.photos, **AGAIN, **ONE_BY_ONE, **device.environment)
        status = until(lambda: home.json("status", "--json")["scored_again"], "the status says how far")
        assert status["left"] + status["done"] == 8
        new = make(home, 9)
        until(lambda: home.sql(QUEUED, new.name), "the new photo in the queue")
    until(lambda: new.name in home.scored(), "the new photo is scored")
    until(home.is_at_rest, "all is scored and rated again")
    assert home.json("status", "--json")["scored_again"] is None
    home.stop(daemon)

    order = [name for (name,) in home.sql("select file_name from photo_quality order by scored_at")]
    again = [name for name in order if name != new.name]
    assert again == [path.name for path in reversed(old)], "the newest first"
    assert order.index(new.name) < 8, "a new photo does not wait for all of them"
    kept = home.sql(
        "select file_name, score from scores join photos on photos.id = photo_id join scoring_configs m"
        " on m.id = scoring_config_id where protocol = 'spaq448'"
    )
    assert dict(kept) == former, "the old scores stay"
    rows = home.sql("select file_name, score, overall_score, detail_score, stars from photo_quality")
    assert len(rows) == 9
    assert all(score == overall and detail is not None for _, score, overall, detail, _ in rows)
    numbers = home.sql(
        "select number, photo_count from calibrations c join scoring_configs m on m.id = c.scoring_config_id"
        " where protocol = 'detail-8'"
    )
    assert numbers == [(1, 9)], "one calibration for all"
    after = sidecars(home)
    assert len(after) == 9
    for name, _, _, _, stars in rows:
        rating = mine.decode() if name == old[2].name else stars
        assert f'xmp:Rating="{rating}"'.encode() in after[home.photos / f"{name}.xmp"]
    assert home.sql("select rating_owner from photo_quality where file_name = ?", old[2].name) == [
        ("person",)
    ]
