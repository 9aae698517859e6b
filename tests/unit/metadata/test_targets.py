from __future__ import annotations

from pathlib import Path

import pytest

from maclip_daemon.errors import FileChanged, WriteRefused
from maclip_daemon.metadata.sidecars import targets


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("names", "target", "exists"),
    [
        (["IMG.jpg"], "IMG.jpg.xmp", False),
        (["IMG.jpg", "IMG.jpg.xmp"], "IMG.jpg.xmp", True),
        (["IMG.jpg", "IMG.xmp"], "IMG.xmp", True),
        (["IMG.jpg", "IMG.xmp", "IMG.jpg.xmp"], "IMG.jpg.xmp", True),
        (["IMG.jpg", "IMG.XMP"], "IMG.XMP", True),
        (["IMG.jpg", "IMG.jpg.XMP"], "IMG.jpg.XMP", True),
        (["IMG.jpg", "OTHER.xmp"], "IMG.jpg.xmp", False),
    ],
)
def test_an_existing_sidecar_of_either_kind_is_updated_and_never_joined_by_a_second(
    tmp_path: Path, names: list[str], target: str, exists: bool
) -> None:
    touch(tmp_path, *names)
    chosen = targets.choose(tmp_path / "IMG.jpg", "sidecar")
    assert (chosen.path.name, chosen.exists, chosen.kind) == (target, exists, "sidecar")


@pytest.mark.parametrize("raw", ["IMG.CR2", "IMG.nef", "IMG.DNG"])
def test_into_a_sidecar_shared_by_raw_and_jpeg_only_the_score_of_the_raw_goes(
    tmp_path: Path, raw: str
) -> None:
    touch(tmp_path, "IMG.JPG", raw, "IMG.xmp")
    assert targets.choose(tmp_path / raw, "sidecar").path.name == "IMG.xmp"
    with pytest.raises(WriteRefused, match="only the RAW's score"):
        targets.choose(tmp_path / "IMG.JPG", "sidecar")


def test_raw_and_jpeg_with_sidecars_of_their_own_are_both_rated(tmp_path: Path) -> None:
    touch(tmp_path, "IMG.JPG", "IMG.CR2", "IMG.xmp", "IMG.JPG.xmp")
    assert targets.choose(tmp_path / "IMG.JPG", "sidecar").path.name == "IMG.JPG.xmp"
    assert targets.choose(tmp_path / "IMG.CR2", "sidecar").path.name == "IMG.xmp"


@pytest.mark.parametrize("sidecar", [[], ["IMG_01.jpg.xmp"]])
def test_the_sidecar_name_of_a_darktable_duplicate_is_never_written(
    tmp_path: Path, sidecar: list[str]
) -> None:
    touch(tmp_path, "IMG.jpg", "IMG_01.jpg", *sidecar)
    with pytest.raises(WriteRefused, match=r"duplicate of IMG\.jpg"):
        targets.choose(tmp_path / "IMG_01.jpg", "sidecar")
    assert targets.choose(tmp_path / "IMG.jpg", "sidecar").path.name == "IMG.jpg.xmp"


@pytest.mark.parametrize("name", ["IMG_01.jpg", "DSC_0001.jpg", "IMG_1.jpg"])
def test_a_number_at_the_end_is_no_duplicate_when_no_photo_has_the_name_without_it(
    tmp_path: Path, name: str
) -> None:
    touch(tmp_path, name, "IMG.png")
    assert targets.choose(tmp_path / name, "sidecar").path.name == name + ".xmp"


def test_a_duplicate_lookalike_with_a_lightroom_sidecar_is_rated_there(tmp_path: Path) -> None:
    touch(tmp_path, "IMG.jpg", "IMG_01.jpg", "IMG_01.xmp")
    assert targets.choose(tmp_path / "IMG_01.jpg", "sidecar").path.name == "IMG_01.xmp"


def test_a_name_without_room_for_the_suffix_is_refused_with_a_remedy(tmp_path: Path) -> None:
    name = "ä" * 125 + "a.jpg"  # 255 bytes
    touch(tmp_path, name)
    with pytest.raises(WriteRefused, match="too long"):
        targets.choose(tmp_path / name, "sidecar")
    assert targets.choose(tmp_path / name, "embed").kind == "embed"


def test_a_sidecar_that_is_a_link_or_a_folder_is_left_alone(tmp_path: Path) -> None:
    touch(tmp_path, "IMG.jpg", "elsewhere.txt", "B.jpg", "C.jpg")
    (tmp_path / "IMG.jpg.xmp").symlink_to(tmp_path / "elsewhere.txt")
    (tmp_path / "B.jpg.xmp").mkdir()
    (tmp_path / "C.xmp").symlink_to(tmp_path / "nowhere")
    for name in ("IMG.jpg", "B.jpg", "C.jpg"):
        with pytest.raises(WriteRefused, match="not a regular file"):
            targets.choose(tmp_path / name, "sidecar")


def test_a_photo_that_is_gone_is_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(FileChanged, match="gone"):
        targets.choose(tmp_path / "IMG.jpg", "sidecar")


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a.png", "a.webp"])
def test_embedding_goes_into_jpeg_png_and_webp(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    assert targets.choose(tmp_path / name, "embed") == targets.Target(tmp_path / name, "embed", exists=True)


@pytest.mark.parametrize("name", ["a.tif", "a.dng", "a.CR3", "a.heic", "a.avif", "a.jxl"])
def test_in_embed_mode_all_other_formats_get_a_sidecar(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    chosen = targets.choose(tmp_path / name, "embed")
    assert chosen.kind == "sidecar"
    assert "only JPEG, PNG and WebP" in chosen.note


def test_a_photo_with_hard_links_is_never_embedded(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "b.jpg").hardlink_to(tmp_path / "a.jpg")
    chosen = targets.choose(tmp_path / "a.jpg", "embed")
    assert chosen.kind == "sidecar"
    assert "hard links" in chosen.note


def test_in_embed_mode_an_existing_sidecar_stays_the_place_of_the_rating(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.xmp")
    assert targets.choose(tmp_path / "a.jpg", "embed").path.name == "a.xmp"


def test_sidecars_are_known_by_their_suffix_in_any_case() -> None:
    assert targets.is_rating_file(Path("a.xmp"))
    assert targets.is_rating_file(Path("a.nef.XMP"))
    assert not targets.is_rating_file(Path("xmp.nef"))
