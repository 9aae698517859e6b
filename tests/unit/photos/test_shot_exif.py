"""What the camera noted of a shot."""

from __future__ import annotations

import io

import pytest
from make_photos import picture
from PIL import ExifTags, Image

from maclip_daemon.photos.shots.shot_exif import shot_info_from
from maclip_daemon.photos.shots.shot_info import NO_SHOT, ShotInfo, shot_info_of


def exif_of_file(first: dict[str, object], directory: dict[str, object]) -> Image.Exif:
    exif = Image.Exif()
    for name, value in first.items():
        exif[ExifTags.Base[name]] = value
    for name, value in directory.items():
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base[name]] = value
    buffer = io.BytesIO()
    picture(32, 24).save(buffer, "JPEG", exif=exif)
    return Image.open(buffer).getexif()


def test_camera_lens_and_exposure_are_read() -> None:
    exif = exif_of_file(
        {"Make": "NIKON CORPORATION\0", "Model": "NIKON Z 6"},
        {
            "BodySerialNumber": " 600 1234 ",
            "LensModel": "NIKKOR Z 24-70mm f/4 S",
            "ExposureTime": 1 / 250,
            "FNumber": 5.6,
            "ISOSpeedRatings": 400,
            "ExposureBiasValue": -2 / 3,
            "FocalLength": 35.0,
            "ExposureMode": 2,
        },
    )
    shot = shot_info_from(exif)
    assert shot == ShotInfo(
        "NIKON CORPORATION",
        "NIKON Z 6",
        "600 1234",
        "NIKKOR Z 24-70mm f/4 S",
        0.004,
        5.6,
        400.0,
        pytest.approx(-2 / 3, abs=1e-6),
        35.0,
        is_bracketed=True,
    )
    assert shot.camera == "NIKON Z 6"
    assert shot_info_of(shot.as_json()) == shot


def test_a_camera_is_named_by_maker_and_model() -> None:
    assert ShotInfo("Canon", "Canon EOS R6").camera == "Canon EOS R6"
    assert ShotInfo("SONY", "ILCE-7M3").camera == "SONY ILCE-7M3"
    assert ShotInfo("Apple").camera == "Apple"
    assert NO_SHOT.camera is None


def test_a_gap_is_filled_from_the_next_source() -> None:
    preview = exif_of_file({"Make": "A", "Model": "B"}, {"FNumber": 8.0})
    raw = exif_of_file({"Make": "C"}, {})
    assert shot_info_from(None, raw, preview) == ShotInfo("C", "B", aperture=8.0)


@pytest.mark.parametrize(
    "directory",
    [
        {"ExposureTime": "soon", "FNumber": float("nan"), "ISOSpeedRatings": -1, "FocalLength": 0.0},
        {"ExposureTime": 1e300, "LensModel": "\x01\x02", "BodySerialNumber": "   "},
    ],
)
def test_nonsense_is_left_out(directory: dict[str, object]) -> None:
    class Nonsense(Image.Exif):
        def get_ifd(self, tag: int) -> dict[int, object]:
            return {int(ExifTags.Base[name]): value for name, value in directory.items()}

    assert shot_info_from(Nonsense()) == NO_SHOT


@pytest.mark.parametrize(
    "answer",
    [None, [], {"make": 3}, {"make": ""}, {"make": "x" * 65}, {"iso": "1"}, {"iso": True}, {"iso": 1e10},
     {"iso": float("nan")}, {"is_bracketed": 1}, {"owner": "me"}],
)  # fmt: skip
def test_an_answer_of_a_child_is_checked(answer: object) -> None:
    with pytest.raises(ValueError, match=r"facts are (invalid|missing)"):
        shot_info_of(answer)
