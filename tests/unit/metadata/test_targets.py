from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from metadata_samples import DARKTABLE_SIDECAR, QUALITY, MakePhoto

from maclip_daemon.errors import FileChanged
from maclip_daemon.files.suffixes import RAW_SUFFIXES
from maclip_daemon.metadata import metadata_process
from maclip_daemon.metadata.records import NameKind, Prepared, RatingRequest
from maclip_daemon.metadata.sidecars import targets

UNRATED = DARKTABLE_SIDECAR


@pytest.fixture
def folder(make_photo: MakePhoto, tmp_path: Path) -> Path:
    """Return a folder with one photo in `.photo`, to be copied under any name."""
    make_photo("photo.jpg").rename(tmp_path / ".photo")
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


def put(folder: Path, *names: str) -> None:
    for name in names:
        if name.lower().endswith(".xmp"):
            (folder / name).write_bytes(UNRATED)
        else:
            shutil.copy(folder.parent / ".photo", folder / name)


def prepared(photo: Path, sidecar_name: NameKind | None = None, mode: str = "sidecar") -> Prepared:
    request = RatingRequest(photo, QUALITY, mode, sidecar_name=sidecar_name)  # type: ignore[arg-type]
    result = metadata_process.prepare_many([request])[0]
    if isinstance(result, Exception):
        raise result
    return result


def target_of(photo: Path, sidecar_name: NameKind | None = None) -> str:
    result = prepared(photo, sidecar_name)
    assert result.status == "prepared", result.reason
    assert result.target is not None
    return result.target.name


def refusal_of(photo: Path) -> str:
    result = prepared(photo)
    assert result.status == "skipped"
    assert result.found is None or result.found.owner != "person"
    return result.reason


@pytest.mark.parametrize(
    ("names", "target"),
    [
        (["IMG.jpg"], "IMG.jpg.xmp"),
        (["IMG.jpg", "IMG.jpg.xmp"], "IMG.jpg.xmp"),
        (["IMG.jpg", "IMG.xmp"], "IMG.xmp"),
        (["IMG.jpg", "IMG.xmp", "IMG.jpg.xmp"], "IMG.jpg.xmp"),
        (["IMG.jpg", "IMG.XMP"], "IMG.XMP"),
        (["IMG.jpg", "IMG.jpg.XMP"], "IMG.jpg.XMP"),
        (["IMG.jpg", "OTHER.xmp"], "IMG.jpg.xmp"),
    ],
)
def test_an_existing_sidecar_of_either_kind_is_updated_and_never_joined_by_a_second(
    folder: Path, names: list[str], target: str
) -> None:
    put(folder, *names)
    assert target_of(folder / "IMG.jpg") == target


@pytest.mark.parametrize("name", ["stem", "full"])
def test_of_two_sidecars_the_one_that_the_setting_names_is_written(folder: Path, name: NameKind) -> None:
    put(folder, "IMG.jpg", "IMG.xmp", "IMG.jpg.xmp")
    assert target_of(folder / "IMG.jpg", name) == {"stem": "IMG.xmp", "full": "IMG.jpg.xmp"}[name]


@pytest.mark.parametrize("name", ["stem", "full"])
@pytest.mark.parametrize("sidecar", ["IMG.xmp", "IMG.jpg.xmp"])
def test_a_sidecar_with_the_work_of_others_is_never_joined_by_a_second_whatever_the_setting(
    folder: Path, name: NameKind, sidecar: str
) -> None:
    put(folder, "IMG.jpg", sidecar)
    assert target_of(folder / "IMG.jpg", name) == sidecar


def test_a_new_sidecar_has_the_name_that_the_setting_asks_for(folder: Path) -> None:
    put(folder, "IMG.jpg", "SHARED.jpg", "SHARED.mov")
    assert target_of(folder / "IMG.jpg", "full") == "IMG.jpg.xmp"
    assert target_of(folder / "IMG.jpg", "stem") == "IMG.xmp"
    assert target_of(folder / "SHARED.jpg", "stem") == "SHARED.jpg.xmp"


def test_without_a_setting_a_new_sidecar_is_called_like_those_of_its_kind_beside_it(folder: Path) -> None:
    put(folder, "1.jpg", "1.xmp", "2.jpg", "2.xmp", "3.jpg", "3.jpg.xmp", "4.jpg", "4.png", "5.png")
    assert target_of(folder / "4.jpg") == "4.jpg.xmp"  # 4.png would share 4.xmp
    assert target_of(folder / "5.png") == "5.png.xmp"
    put(folder, "6.jpg")
    assert target_of(folder / "6.jpg") == "6.xmp"


@pytest.mark.parametrize("suffix", RAW_SUFFIXES)
def test_into_a_sidecar_shared_by_raw_and_jpeg_only_the_score_of_the_raw_goes(
    folder: Path, suffix: str
) -> None:
    raw = f"IMG{suffix}"
    put(folder, "IMG.JPG", raw, "IMG.xmp")
    assert target_of(folder / raw) == "IMG.xmp"
    assert "only the RAW's score" in refusal_of(folder / "IMG.JPG")


def test_raw_and_jpeg_with_sidecars_of_their_own_are_both_rated(folder: Path) -> None:
    put(folder, "IMG.JPG", "IMG.CR2", "IMG.xmp", "IMG.JPG.xmp")
    assert target_of(folder / "IMG.JPG") == "IMG.JPG.xmp"
    assert target_of(folder / "IMG.CR2") == "IMG.xmp"


@pytest.mark.parametrize("number", ["01", "12345", "20240701"])
@pytest.mark.parametrize("has_sidecar", [False, True])
def test_the_sidecar_name_of_a_darktable_duplicate_is_never_written(
    folder: Path, number: str, has_sidecar: bool
) -> None:
    put(folder, "IMG.jpg", f"IMG_{number}.jpg", *([f"IMG_{number}.jpg.xmp"] if has_sidecar else []))
    assert "duplicate of IMG.jpg" in refusal_of(folder / f"IMG_{number}.jpg")
    assert target_of(folder / "IMG.jpg") == "IMG.jpg.xmp"


@pytest.mark.parametrize("name", ["IMG_01.jpg", "DSC_0001.jpg", "IMG_1.jpg"])
def test_a_number_at_the_end_is_no_duplicate_when_no_photo_has_the_name_without_it(
    folder: Path, name: str
) -> None:
    put(folder, name, "IMG.png")
    assert target_of(folder / name) == name + ".xmp"


def test_a_duplicate_lookalike_with_a_lightroom_sidecar_is_rated_there(folder: Path) -> None:
    put(folder, "IMG.jpg", "IMG_01.jpg", "IMG_01.xmp")
    assert target_of(folder / "IMG_01.jpg") == "IMG_01.xmp"


def test_a_name_without_room_for_the_suffix_is_refused_with_a_remedy(folder: Path) -> None:
    name = "ä" * 125 + "a.jpg"  # 255 bytes
    put(folder, name)
    assert "too long" in refusal_of(folder / name)
    assert prepared(folder / name, mode="embed").target == folder / name


def test_a_sidecar_that_is_a_link_or_a_folder_is_left_alone(folder: Path) -> None:
    put(folder, "IMG.jpg", "B.jpg", "C.jpg")
    (folder / "elsewhere.txt").touch()
    (folder / "IMG.jpg.xmp").symlink_to(folder / "elsewhere.txt")
    (folder / "B.jpg.xmp").mkdir()
    (folder / "C.xmp").symlink_to(folder / "nowhere")
    for name in ("IMG.jpg", "B.jpg", "C.jpg"):
        assert "not a regular file" in refusal_of(folder / name)


def test_a_photo_that_is_gone_is_tried_again_later(folder: Path) -> None:
    with pytest.raises(FileChanged, match="gone"):
        prepared(folder / "IMG.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp"])
def test_embedding_goes_into_jpeg_png_and_webp(folder: Path, name: str) -> None:
    put(folder, name)
    assert targets.choose(folder / name, "embed", None) == targets.Target(folder / name, "embed")


@pytest.mark.parametrize("name", ["a.tif", "a.dng", "a.CR3", "a.heic", "a.avif", "a.jxl"])
def test_in_embed_mode_all_other_formats_get_a_sidecar(folder: Path, name: str) -> None:
    put(folder, name)
    chosen = targets.choose(folder / name, "embed", None)
    assert chosen.kind == "sidecar"
    assert "only JPEG, PNG and WebP" in chosen.note


def test_a_photo_with_hard_links_is_never_embedded(folder: Path) -> None:
    put(folder, "a.jpg")
    (folder / "b.jpg").hardlink_to(folder / "a.jpg")
    chosen = targets.choose(folder / "a.jpg", "embed", None)
    assert chosen.kind == "sidecar"
    assert "hard links" in chosen.note


def test_in_embed_mode_an_existing_sidecar_stays_the_place_of_the_rating(folder: Path) -> None:
    put(folder, "a.jpg", "a.xmp")
    assert prepared(folder / "a.jpg", mode="embed").target == folder / "a.xmp"


def test_sidecars_are_known_by_their_suffix_in_any_case() -> None:
    assert targets.is_rating_file(Path("a.xmp"))
    assert targets.is_rating_file(Path("a.nef.XMP"))
    assert not targets.is_rating_file(Path("xmp.nef"))
