"""TIFF: samples are read right or named as not supported; the photo is found among thumbnails."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from make_photos import picture, still_bytes, stored_for, write_dng
from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decoding import Decoded, decode

WIDTH, HEIGHT = 300, 231
COLOURS = np.asarray(picture(WIDTH, HEIGHT))
GREY = np.asarray(picture(WIDTH, HEIGHT).convert("L"))[..., None]
DEEP = ["u2", "u4", "f2", "f4", "f8"]


def decoded(data: bytes) -> Decoded:
    return decode(io.BytesIO(data), "a.tif", parse("native"), max_megapixels=100)


def error(found: Decoded, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(found.image, float) - expected).mean())


def samples(pixels: np.ndarray, dtype: str) -> np.ndarray:
    if dtype[0] == "f":
        return (pixels / 255).astype(dtype)
    factor = {"u1": 1, "u2": 257, "u4": 16843009}[dtype]
    return pixels.astype(dtype) * np.array(factor, dtype)


def tiff(
    values: np.ndarray,
    *,
    order: str = "<",
    photometric: int = 2,
    planar: bool = False,
    rows: int = 50,
    tile: int = 0,
    deflate: bool = False,
    predictor: int = 1,
    tags: tuple[tuple[int, int, int], ...] = (),
    following: bytes = b"",
    at: int = 0,
) -> bytes:
    """One directory of a TIFF 6.0 and its data, from the byte `at` of a file on; 0: with its header."""
    height, width, count = values.shape
    planes = [values[..., number : number + 1] for number in range(count)] if planar else [values]
    blocks = []
    for plane in planes:
        if tile:
            padded = np.zeros(
                (-(-height // tile) * tile, -(-width // tile) * tile, plane.shape[2]), plane.dtype
            )
            padded[:height, :width] = plane
            across, down = padded.shape[1] // tile, padded.shape[0] // tile
            blocks += [
                padded[y * tile : (y + 1) * tile, x * tile : (x + 1) * tile]
                for y in range(down)
                for x in range(across)
            ]
        else:
            blocks += [plane[top : top + rows] for top in range(0, height, rows)]
    packed = []
    for block in blocks:
        if predictor == 2:
            block = np.diff(block, axis=1, prepend=block[:, :1] * 0)
        raw = np.ascontiguousarray(block).astype(block.dtype.newbyteorder(order)).tobytes()
        if predictor == 3:
            size = block.dtype.itemsize
            whole = np.ascontiguousarray(block).astype(block.dtype.newbyteorder(">"))
            planes_of_bytes = whole.view(np.uint8).reshape(len(block), -1, size).transpose(0, 2, 1)
            pieces = planes_of_bytes.reshape(len(block), -1, block.shape[2])
            raw = np.diff(pieces, axis=1, prepend=pieces[:, :1] * 0).astype(np.uint8).tobytes()
        packed.append(zlib.compress(raw) if deflate else raw)
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    offsets, counts = (324, 325) if tile else (273, 279)
    entries = [
        *((256, 4, [width]), (257, 4, [height]), (258, 3, [8 * values.dtype.itemsize] * count)),
        *((259, 3, [8 if deflate else 1]), (262, 3, [photometric]), (277, 3, [count])),
        *((284, 3, [2 if planar else 1]), (317, 3, [predictor]), (339, 3, [kind] * count)),
        *(((322, 4, [tile]), (323, 4, [tile])) if tile else ((278, 4, [rows]),)),
        *((offsets, 4, [0] * len(packed)), (counts, 4, [len(each) for each in packed])),
        *((tag, field, [value]) for tag, field, value in tags),
    ]
    entries.sort()
    start = at or 8
    begin = start + 2 + 12 * len(entries) + 4
    extra = sum((2 if field == 3 else 4) * len(numbers) for _, field, numbers in entries if len(numbers) > 1)
    data_at = begin + extra
    table, values_of_tags = b"", b""
    for tag, field, numbers in entries:
        if tag == offsets:
            numbers = [data_at + sum(len(each) for each in packed[:number]) for number in range(len(packed))]
        content = struct.pack(f"{order}{len(numbers)}{'H' if field == 3 else 'I'}", *numbers)
        if len(numbers) > 1:
            field_bytes = struct.pack(f"{order}I", begin + len(values_of_tags))
            values_of_tags += content
        else:
            field_bytes = content.ljust(4, b"\0")
        table += struct.pack(f"{order}HHI", tag, field, len(numbers)) + field_bytes
    header = b"" if at else struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    end = data_at + len(b"".join(packed))
    next_at = struct.pack(f"{order}I", end if following else 0)
    whole = header + struct.pack(f"{order}H", len(entries)) + table + next_at + values_of_tags
    return whole + b"".join(packed) + following


LAYOUTS: list[dict[str, Any]] = [
    *({}, {"planar": True}, {"tile": 64}, {"planar": True, "tile": 64}, {"deflate": True}),
    *({"deflate": True, "planar": True}, {"deflate": True, "tile": 112}, {"rows": 1}, {"rows": 5000}),
]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["u1", *DEEP])
def test_colours_of_every_depth_and_layout_are_read(dtype: str, layout: dict[str, Any], order: str) -> None:
    found = decoded(tiff(samples(COLOURS, dtype), order=order, **layout))
    assert error(found, COLOURS) < 0.6


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", *DEEP])
@pytest.mark.parametrize("planar", [False, True])
def test_predictors_are_undone(dtype: str, order: str, planar: bool) -> None:
    predictor = 3 if dtype[0] == "f" else 2
    data = tiff(samples(COLOURS, dtype), order=order, deflate=True, predictor=predictor, planar=planar)
    assert error(decoded(data), COLOURS) < 0.6


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deflate", [False, True])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("dtype", ["u1", *DEEP])
def test_grey_of_every_depth_is_read_and_white_is_white(
    dtype: str, white_is_zero: bool, deflate: bool, order: str
) -> None:
    stored = samples(255 - GREY if white_is_zero else GREY, dtype)
    found = decoded(tiff(stored, photometric=0 if white_is_zero else 1, deflate=deflate, order=order))
    assert error(found, GREY) < 1.1


def test_deep_planes_with_alpha_lie_on_white() -> None:
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    alpha[:, : WIDTH // 2] = 255
    data = tiff(samples(np.concatenate([COLOURS, alpha], axis=2), "u2"), planar=True, tags=((338, 3, 2),))
    expected = COLOURS.copy()
    expected[:, WIDTH // 2 :] = 255
    assert error(decoded(data), expected) == 0


def test_highlights_of_floats_do_not_darken_the_picture() -> None:
    values = samples(COLOURS, "f4") * 1.0
    values[:20] *= 6
    found = decoded(tiff(values))
    assert np.abs(np.asarray(found.image, float)[20:] - COLOURS[20:]).mean() < 0.6


def test_a_kind_that_is_not_read_is_not_called_damaged() -> None:
    complex_kind = tiff(samples(COLOURS, "f4"), tags=((266, 3, 2),))
    jpeg_2000 = tiff(COLOURS).replace(
        struct.pack("<HHIH", 259, 3, 1, 1), struct.pack("<HHIH", 259, 3, 1, 34712)
    )
    for data in (complex_kind, jpeg_2000):
        with pytest.raises(Poison, match="not supported: it is a TIFF with 3 ") as caught:
            decoded(data)
        assert "Copy it again" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("is_marked", [False, True])
def test_a_thumbnail_as_the_first_page_is_passed_over(dtype: str, is_marked: bool) -> None:
    small = np.asarray(picture(WIDTH // 3, HEIGHT // 3))
    marks = ((254, 4, 1),) if is_marked else ()
    first = tiff(small, tags=marks)
    both = tiff(small, tags=marks, following=tiff(samples(COLOURS, dtype), at=len(first)))
    assert error(decoded(both), COLOURS) < 0.6


def test_the_photo_below_its_thumbnail_is_found() -> None:
    small = np.asarray(picture(100, 77))
    size = len(tiff(small, tags=((330, 4, 0), (254, 4, 1))))
    whole = tiff(small, tags=((330, 4, size), (254, 4, 1))) + tiff(COLOURS, at=size)
    assert error(decoded(whole), COLOURS) < 0.6


def test_of_equal_pages_the_first_counts() -> None:
    other = np.asarray(picture(WIDTH, HEIGHT, seed=7))
    first = tiff(COLOURS)
    data = tiff(COLOURS, following=tiff(other, at=len(first)))
    assert error(decoded(data), COLOURS) == 0
    panorama = still_bytes(picture(), "tif", save_all=True, append_images=[picture(1200, 300)])
    assert decoded(panorama).image.size == (320, 240), "another aspect is another picture"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_by_their_tag(orientation: int) -> None:
    stored = np.asarray(stored_for(picture(WIDTH, HEIGHT), orientation))
    data = tiff(samples(stored, "f4"), tags=((274, 3, orientation),))
    assert error(decoded(data), COLOURS) < 0.6


@pytest.mark.parametrize("layout", [{}, {"planar": True}, {"deflate": True}, {"tile": 64}])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_one_that_is_cut_off_fails(dtype: str, layout: dict[str, Any]) -> None:
    whole = tiff(samples(COLOURS, dtype), **layout)
    for tenth in range(1, 10):
        with pytest.raises(Poison):
            decoded(whole[: len(whole) * tenth // 10])


def test_a_raw_under_a_name_of_a_still_is_developed(tmp_path: Any) -> None:
    data = write_dng(tmp_path / "a.dng", 640, 480).read_bytes()
    named = decoded(data)
    assert (
        named.image.tobytes()
        == decode(io.BytesIO(data), "a.dng", parse("native"), max_megapixels=100).image.tobytes()
    )


def test_the_limit_of_pixels_holds_before_samples_are_read() -> None:
    whole = tiff(samples(COLOURS, "f4"))
    with pytest.raises(Poison, match="megapixels"):
        decode(io.BytesIO(whole), "a.tif", parse("native"), max_megapixels=0.05)
    assert Image.MAX_IMAGE_PIXELS is None
