"""Which names are photos."""

import subprocess
import sys

import pytest

from maclip_daemon.photos.formats import (
    PASSED_OVER,
    SUFFIXES,
    Family,
    family_of,
    is_photo,
    is_raw,
    passed_over_kind,
)


@pytest.mark.parametrize(
    "name",
    ["a.jpg", "A.JPEG", "b.Png", "c.tiff", "d.webp", "e.HEIC", "f.avif", "g.dng", "h.CR3", "i.hif", "x.JXL"],
)
def test_photos_are_known_by_suffix_whatever_its_case(name: str) -> None:
    assert is_photo(name)


@pytest.mark.parametrize(
    "name", ["a.jpg.xmp", "a.mp4", "jpg", ".jpg", "a.jpg.tmp", "a", "", "a.gif", "a.jpg/", "b.jpg~"]
)
def test_other_files_are_no_photos(name: str) -> None:
    assert not is_photo(name)


def test_any_name_a_file_can_have_is_fine() -> None:
    assert is_photo(b"caf\xe9\n.jpg".decode("utf-8", "surrogateescape"))
    assert is_raw("/photos/2026/-rf %s.nef")


def test_each_raw_is_a_photo_and_no_still_is_raw() -> None:
    assert {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"} <= {
        suffix for suffix, family in SUFFIXES.items() if family is Family.RAW
    }
    assert not is_raw("a.jpg")
    assert family_of("a.avif") is family_of("a.jpg") is Family.STILL


def test_pictures_that_are_not_scored_have_a_kind_and_other_files_none() -> None:
    kinds = [passed_over_kind(name) for name in ("a.gif", "b.PSD", "c.jp2", "I01.BMP", "d.exr", "e.raw")]
    assert kinds == ["GIF", "Photoshop", "JPEG 2000", "BMP", "OpenEXR", "other RAW"]
    assert not any(is_photo(f"a{suffix}") for suffix in PASSED_OVER)
    assert not any(passed_over_kind(name) for name in ("a.jpg", "a.mov", "a.txt", "gif", ".gif", "a.jxl"))


def test_the_parents_side_loads_no_image_library() -> None:
    program = (
        "import sys, maclip_daemon.photos.formats, maclip_daemon.photos.decoder, maclip_daemon.photos.spool;"
        "print([name for name in ('PIL', 'numpy', 'rawpy', 'pillow_heif', 'torch') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
