"""Photo files for the tests, made from a seed: nothing here was ever in a camera."""

import io
import struct
from pathlib import Path

import numpy as np
import pillow_heif
import pillow_jxl  # noqa: F401 - registers JPEG XL
from PIL import ExifTags, Image

pillow_heif.register_heif_opener()

# The quickest ways to write each: encoders at their usual effort take most of the time of a test.
STILL_FORMATS: dict[str, dict[str, object]] = {
    "jpg": {"format": "JPEG", "quality": 92},
    "png": {"format": "PNG", "compress_level": 1},
    "tif": {"format": "TIFF", "compression": "tiff_lzw"},
    "webp": {"format": "WEBP", "lossless": True, "method": 0, "quality": 0},
    "heic": {"format": "HEIF", "quality": 90, "enc_params": {"preset": "ultrafast"}},
    "avif": {"format": "AVIF", "quality": 90, "speed": 10},
    "jxl": {"format": "JXL", "lossless": True, "effort": 1},
}


def picture(width: int = 320, height: int = 240, seed: int = 1) -> Image.Image:
    """Soft colours with a red left upper corner, so that no turn or mirror leaves it the same."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    image.paste((255, 0, 0), (0, 0, width // 3, height // 4))
    image.paste((0, 0, 255), (0, height // 2, width // 6, height))
    return image


def still_bytes(image: Image.Image, suffix: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, **(STILL_FORMATS[suffix] | options))
    return buffer.getvalue()


def exif_bytes(orientation: int | None = None, **exif_ifd: str) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    directory = exif.get_ifd(ExifTags.IFD.Exif)
    for name, value in exif_ifd.items():
        directory[ExifTags.Base[name]] = value
    return exif.tobytes()


def stored_for(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels a camera would store so that this orientation makes them upright."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return upright.transpose(undo[orientation]) if orientation in undo else upright


_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _SIGNED_RATIONAL = 1, 2, 3, 4, 5, 10
_LAYOUT = {_BYTE: "B", _SHORT: "H", _LONG: "I", _RATIONAL: "II", _SIGNED_RATIONAL: "ii"}


def _directory(entries: list[tuple[int, int, object]], at: int) -> bytes:
    """One TIFF 6.0 directory placed at this offset, its larger values right behind it."""
    entries = sorted(entries, key=lambda entry: entry[0])
    table, values = b"", b""
    values_at = at + 2 + 12 * len(entries) + 4
    for tag, kind, content in entries:
        if kind == _ASCII:
            packed = str(content).encode() + b"\0"
            count = len(packed)
        else:
            numbers = list(content) if isinstance(content, (list, tuple)) else [content]
            packed = struct.pack("<" + _LAYOUT[kind][0] * len(numbers), *numbers)
            count = len(numbers) // len(_LAYOUT[kind])
        if len(packed) > 4:
            field = struct.pack("<I", values_at + len(values))
            values += packed + b"\0" * (len(packed) % 2)
        else:
            field = packed.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, kind, count) + field
    return struct.pack("<H", len(entries)) + table + b"\0\0\0\0" + values


def write_dng(
    path: Path,
    width: int = 640,
    height: int = 480,
    *,
    preview: Image.Image | None = None,
    preview_exif: bytes = b"",
    orientation: int = 1,
    brightness: float = 1.0,
    version_tag: bool = True,
) -> Path:
    """A DNG 1.4: 16-bit uncompressed Bayer data (RGGB), and, when asked, a JPEG preview in IFD0."""
    mosaic = np.asarray(picture(width, height), dtype=np.uint16) * 200
    sensor = np.empty((height, width), dtype="<u2")
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        sensor[row::2, column::2] = mosaic[row::2, column::2, channel] * brightness
    raw_bytes = sensor.tobytes()
    identity = [n for row in range(3) for column in range(3) for n in (int(row == column), 1)]
    camera = [
        *((271, _ASCII, "Test"), (272, _ASCII, "Test One"), (274, _SHORT, orientation)),
        *((50706, _BYTE, (1, 4, 0, 0)), (50707, _BYTE, (1, 1, 0, 0)), (50708, _ASCII, "Test One")),
        *((50721, _SIGNED_RATIONAL, identity), (50728, _RATIONAL, (1, 1, 1, 1, 1, 1)), (50778, _SHORT, 21)),
    ]

    if not version_tag:
        camera = [entry for entry in camera if entry[0] != 50706]

    def sensor_entries(strip_at: int) -> list[tuple[int, int, object]]:
        return [
            *((254, _LONG, 0), (256, _LONG, width), (257, _LONG, height), (258, _SHORT, 16)),
            *((259, _SHORT, 1), (262, _SHORT, 32803), (273, _LONG, strip_at), (277, _SHORT, 1)),
            *((278, _LONG, height), (279, _LONG, len(raw_bytes)), (284, _SHORT, 1)),
            *((33421, _SHORT, (2, 2)), (33422, _BYTE, (0, 1, 1, 2)), (50717, _LONG, 51200)),
        ]

    header = b"II*\0" + struct.pack("<I", 8)
    if preview is None:
        length = len(_directory([*camera, *sensor_entries(0)], 8))
        directory = _directory([*camera, *sensor_entries(8 + length)], 8)
        path.write_bytes(header + directory + raw_bytes)
        return path
    jpeg = still_bytes(preview, "jpg", exif=preview_exif)

    def preview_entries(jpeg_at: int, sub_directory_at: int) -> list[tuple[int, int, object]]:
        return [
            *((254, _LONG, 1), (256, _LONG, preview.width), (257, _LONG, preview.height)),
            *((258, _SHORT, (8, 8, 8)), (259, _SHORT, 7), (262, _SHORT, 6), (273, _LONG, jpeg_at)),
            *((277, _SHORT, 3), (278, _LONG, preview.height), (279, _LONG, len(jpeg)), (284, _SHORT, 1)),
            (330, _LONG, sub_directory_at),
        ]

    first_length = len(_directory([*camera, *preview_entries(0, 0)], 8))
    second_at = 8 + first_length
    second_length = len(_directory(sensor_entries(0), second_at))
    jpeg_at = second_at + second_length
    raw_at = jpeg_at + len(jpeg) + len(jpeg) % 2
    path.write_bytes(
        header
        + _directory([*camera, *preview_entries(jpeg_at, second_at)], 8)
        + _directory(sensor_entries(raw_at), second_at)
        + jpeg.ljust(raw_at - jpeg_at, b"\0")
        + raw_bytes
    )
    return path
