"""Samples of TIFF kinds that Pillow refuses or misreads: floats, 16-bit planes, inverted and 32-bit samples.

libtiff, through Pillow, undoes the compression: the blocks are given to it as rows of bytes. The rest of
TIFF 6.0 (planes, tiles, sections 14 and 15; floating-point predictor: Adobe's technical note 3) is done here.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maclip_daemon.errors import Poison
from maclip_daemon.photos.containers.tiff_directories import TiffDirectory, offsets_in
from maclip_daemon.photos.decode_errors import ADVICE

_UNCOMPRESSED = 1
# LZW, Deflate (two numbers), PackBits, LZMA, ZSTD: they compress bytes, whatever the bytes mean.
_COMPRESSIONS_OF_BYTES = frozenset({_UNCOMPRESSED, 5, 8, 32946, 32773, 34925, 50000})
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
_UNSIGNED, _FLOAT = 1, 3
_HORIZONTAL, _FLOATING = 2, 3  # predictors
_PREMULTIPLIED, _STRAIGHT = 1, 2  # extra samples
_MOST_SAMPLES = 8
_LEAST_TILE_LIMIT = 1 << 20  # pixels
_FLOAT_RANGES = ((16.0, 1.0), (255.0, 255.0), (65535.0, 65535.0))  # typical value up to: white


class _Layout(NamedTuple):
    """How the samples of a picture are stored."""

    width: int
    height: int
    samples: int
    """For each pixel."""
    bits: int
    is_float: bool
    is_big_endian: bool
    photometric: int
    is_planar: bool
    compression: int
    predictor: int
    extra: tuple[int, ...]
    block: tuple[int, int]
    """Width and height of a strip or tile."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The stored numbers."""
        order = ">" if self.is_big_endian else "<"
        return np.dtype(f"{order}{'f' if self.is_float else 'u'}{self.bits // 8}")

    @property
    def colours(self) -> int:
        """Samples that are colours and no alpha."""
        return 3 if self.photometric == _RGB else 1


def is_misread(directory: TiffDirectory) -> bool:
    """Return whether Pillow refuses or misreads these samples and `read_samples` reads them."""
    layout = _layout(directory)
    if layout is None:
        return False
    is_plain_grey = layout.photometric == _BLACK_IS_ZERO and layout.samples == 1
    if layout.is_float:
        # Pillow takes libtiff's native order for that of the file.
        is_swapped = layout.is_big_endian and layout.compression != _UNCOMPRESSED
        return layout.bits != 32 or not is_plain_grey or is_swapped
    if layout.bits <= 16 and layout.photometric == _RGB and not layout.is_planar:
        return layout.samples > 4 and layout.bits == 16
    return layout.bits > 16 or (layout.bits == 16 and not is_plain_grey)


def read_samples(file: BinaryIO, directory: TiffDirectory) -> Image.Image:
    """Return the picture with 8 bits for each sample, as stored: neither turned nor converted.

    Integers keep their high byte, as Pillow's own reading does. `scaled_floats` says what floats become.
    """
    layout = _layout(directory)
    assert layout is not None, "the caller asks is_misread first"
    values = np.empty(
        (layout.height, layout.width, layout.samples), np.float32 if layout.is_float else np.uint8
    )
    for top, left, plane, block in _blocks(file, directory, layout):
        rows, columns, samples = block.shape
        into = values[top : top + rows, left : left + columns, plane : plane + samples]
        inside = block[: into.shape[0], : into.shape[1]]  # tiles reach over the edge
        into[:] = inside if layout.is_float else inside >> (layout.bits - 8)
    pixels = scaled_floats(values) if layout.is_float else values
    image = _image(pixels, layout)
    if (profile := directory.tags.get(34675)) is not None:
        image.info["icc_profile"] = profile
    return image


def scaled_floats(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return floats as bytes. They are taken for 0 to 1, 255 or 65535, or to their maximum.

    The smallest of these that holds 99 of 100 values counts. A picture from 0 to 1 may have highlights up to
    four stops brighter, which are clipped. Not-a-number becomes black.
    """
    flat = values.reshape(-1)
    sample = np.nan_to_num(flat[:: max(1, flat.size // 1_000_000)], nan=0.0, posinf=0.0, neginf=0.0)
    typical = float(np.percentile(sample, 99)) if sample.size else 0.0
    full = next((full for largest, full in _FLOAT_RANGES if typical <= largest), None)
    if full is None:
        full = float(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).max())
    scaled = np.empty(values.shape, np.uint8)
    for row in range(len(values)):
        line = np.nan_to_num(values[row], nan=0.0, posinf=full, neginf=0.0) * (255.0 / full)
        scaled[row] = np.clip(np.rint(line), 0, 255)
    return scaled


def _image(pixels: NDArray[np.uint8], layout: _Layout) -> Image.Image:
    if layout.photometric == _WHITE_IS_ZERO:
        pixels[..., 0] = 255 - pixels[..., 0]
    colours = layout.colours
    alpha = layout.extra[0] if layout.extra and layout.samples > colours else 0
    if alpha not in (_PREMULTIPLIED, _STRAIGHT):
        plain = pixels[..., 0] if colours == 1 else pixels[..., :3]
        return Image.fromarray(np.ascontiguousarray(plain))
    with_alpha = np.ascontiguousarray(pixels[..., : colours + 1])
    size = layout.width, layout.height
    if colours == 1:
        mode = "La" if alpha == _PREMULTIPLIED else "LA"
    else:
        mode = "RGBa" if alpha == _PREMULTIPLIED else "RGBA"
    return Image.frombytes(mode, size, with_alpha.tobytes()).convert(mode.upper())


def _layout(directory: TiffDirectory) -> _Layout | None:
    """Return the layout; None for one that is not read here."""
    tags = directory.tags
    width, height = directory.size
    samples = tags.get(277, 1)
    bits, formats = set(offsets_in(tags.get(258, 1))), set(offsets_in(tags.get(339, _UNSIGNED)))
    photometric, compression = tags.get(262), tags.get(259, _UNCOMPRESSED)
    predictor, planar = tags.get(317, 1), tags.get(284, 1)
    if 322 in tags:
        block = tags.get(322), tags.get(323)
    else:
        block = width, min(height, tags.get(278, height) or height)
    fits = (
        len(bits) == len(formats) == 1
        and min(width, height) > 0
        and isinstance(samples, int)
        and photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB)
        and compression in _COMPRESSIONS_OF_BYTES
        and tags.get(266, 1) == 1  # order of bits in a byte
        and all(isinstance(side, int) and side > 0 for side in block)
        and block[0] * block[1] <= 4 * max(width * height, _LEAST_TILE_LIMIT)  # else a bomb
    )
    if not fits:
        return None
    (bit_count,), (kind,) = bits, formats
    is_float = kind == _FLOAT
    known_bits = (16, 32, 64) if is_float else (8, 16, 32)
    known_predictors = (1, _FLOATING) if is_float else (1, _HORIZONTAL)
    colours = 3 if photometric == _RGB else 1
    if (
        kind not in (_UNSIGNED, _FLOAT)
        or bit_count not in known_bits
        or predictor not in known_predictors
        or not colours <= samples <= _MOST_SAMPLES
    ):
        return None
    extra = tuple(offsets_in(tags.get(338, ())))
    return _Layout(
        *(width, height, samples, bit_count, is_float, tags.prefix == b"MM", photometric),
        *(planar == 2, compression, predictor, extra, block),
    )


def _blocks(
    file: BinaryIO, directory: TiffDirectory, layout: _Layout
) -> Iterator[tuple[int, int, int, NDArray[Any]]]:
    """Yield (top, left, first sample, values [rows, columns, samples]) of every strip or tile."""
    is_tiled = 322 in directory.tags
    offsets = offsets_in(directory.tags.get(324 if is_tiled else 273))
    counts = offsets_in(directory.tags.get(325 if is_tiled else 279))
    width, height = layout.block
    across, down = math.ceil(layout.width / width), math.ceil(layout.height / height)
    planes, samples = (layout.samples, 1) if layout.is_planar else (1, layout.samples)
    if len(counts) < planes * across * down or len(offsets) < planes * across * down:
        raise Poison(f"the TIFF data is damaged or cut off (parts are missing). {ADVICE}")
    row_bytes = width * samples * layout.bits // 8
    for number in range(planes * across * down):
        plane, index = divmod(number, across * down)
        top, left = height * (index // across), width * (index % across)
        rows = height if is_tiled else min(height, layout.height - top)
        file.seek(offsets[number])
        data = file.read(counts[number])
        if len(data) < counts[number]:
            raise Poison(f"the TIFF data is damaged or cut off (after byte {offsets[number]}). {ADVICE}")
        raw = _decompressed(data, layout.compression, rows, row_bytes)
        yield top, left, plane, _values(raw, layout, width, samples)


def _decompressed(data: bytes, compression: int, rows: int, row_bytes: int) -> NDArray[np.uint8]:
    """Return the bytes [rows, row_bytes] of one strip or tile."""
    if compression == _UNCOMPRESSED:
        if len(data) < rows * row_bytes:
            raise Poison(f"the TIFF data is damaged or cut off (a strip is too short). {ADVICE}")
        return np.frombuffer(data, np.uint8, rows * row_bytes).reshape(rows, row_bytes)
    entries = (
        *((256, 4, row_bytes), (257, 4, rows), (258, 3, 8), (259, 3, compression), (262, 3, 1)),
        *((273, 4, 0), (277, 3, 1), (278, 4, rows), (279, 4, len(data))),
    )
    start = 8 + 2 + 12 * len(entries) + 4
    table = b"".join(
        struct.pack("<HHII", tag, kind, 1, start if tag == 273 else value) for tag, kind, value in entries
    )
    tiff = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + table + bytes(4) + data
    with Image.open(io.BytesIO(tiff), formats=["TIFF"]) as image:
        return np.array(image)


def _values(raw: NDArray[np.uint8], layout: _Layout, width: int, samples: int) -> NDArray[Any]:
    """Return the numbers [rows, columns, samples] after undoing the predictor."""
    rows = len(raw)
    if layout.predictor == _FLOATING:
        # Differences of bytes; then all most significant bytes of the row, all second ones …
        size = layout.bits // 8
        sums = np.cumsum(raw.reshape(rows, -1, samples), axis=1, dtype=np.uint8).reshape(rows, size, -1)
        whole = np.ascontiguousarray(sums.transpose(0, 2, 1)).view(f">f{size}")
        return whole.reshape(rows, width, samples)
    values = np.ascontiguousarray(raw).view(layout.dtype).reshape(rows, width, samples)
    if layout.predictor == _HORIZONTAL:
        return np.cumsum(values, axis=1, dtype=values.dtype.newbyteorder("="))
    return values
