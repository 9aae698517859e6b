"""Files become pixels, or one reason why not."""

import errno
import io
import os
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from make_photos import STILL_FORMATS, exif_bytes, picture, still_bytes, stored_for
from PIL import Image, PngImagePlugin

from maclip_daemon.errors import Poison, Transient
from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.decode_errors import poison_on_error
from maclip_daemon.photos.decoding import Decoded, decode
from maclip_daemon.photos.formats import is_photo

NATIVE = parse("native")


def decoded(data: bytes, name: str, *, max_megapixels: float = 100, exif_rotation: bool = True) -> Decoded:
    return decode(io.BytesIO(data), name, NATIVE, max_megapixels=max_megapixels, exif_rotation=exif_rotation)


def difference(one: Image.Image, other: Image.Image) -> float:
    assert one.size == other.size
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other.convert("RGB"), dtype=float)).mean())


@pytest.mark.parametrize("suffix", STILL_FORMATS)
def test_every_format_gives_its_picture(suffix: str) -> None:
    result = decoded(still_bytes(picture(), suffix), f"photo.{suffix}")
    assert result.image.mode == "RGB"
    assert (result.photo_width, result.photo_height) == (320, 240)
    assert difference(result.image, picture()) < (0.01 if suffix in ("png", "tif", "webp") else 3)


def test_the_protocol_sets_the_size_and_the_photo_keeps_its_own() -> None:
    data = still_bytes(picture(1000, 500), "png")
    result = decode(io.BytesIO(data), "a.png", parse("spaq448"), max_megapixels=100)
    assert result.image.size == (448, 448)
    assert (result.photo_width, result.photo_height) == (1000, 500)
    expected = picture(1000, 500).resize((448, 448), Image.Resampling.BICUBIC)
    assert difference(result.image, expected) == 0


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "PA"])
def test_every_mode_is_converted_as_pillow_does(mode: str) -> None:
    image = picture().convert("P").convert("PA") if mode == "PA" else picture().convert(mode)
    suffix = "tif" if mode in ("CMYK",) else "png"
    if mode == "PA":
        pytest.importorskip("PIL.TiffImagePlugin")
        suffix = "tif"
    data = still_bytes(image, suffix)
    assert difference(decoded(data, f"a.{suffix}").image, image) == 0


def test_transparent_pixels_lie_on_white_whatever_is_under_them() -> None:
    image = picture().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    expected = Image.new("RGBA", image.size, "white")
    expected.alpha_composite(image)
    assert difference(decoded(still_bytes(image, "png"), "a.png").image, expected) < 1
    noise = Image.effect_noise(image.size, 100).convert("RGB")
    shape = Image.radial_gradient("L").resize(image.size).point(lambda value: 255 * (value > 100))
    junk, clean = noise.copy(), Image.new("RGB", image.size, "white")
    for under in (junk, clean):
        under.paste(picture(), mask=shape)
    junk.putalpha(shape)
    for suffix in ("png", "webp", "tif"):
        options = {"exact": True} if suffix == "webp" else {}
        assert difference(decoded(still_bytes(junk, suffix, **options), f"a.{suffix}").image, clean) == 0


def test_transparency_of_palettes_and_of_grey_counts_and_can_be_switched_off() -> None:
    half = picture().convert("L")
    half.putalpha(Image.new("L", half.size, 0))
    assert decoded(still_bytes(half, "png"), "a.png").image.getextrema() == ((255, 255),) * 3
    palette = picture().convert("P")
    data = still_bytes(palette, "png", transparency=palette.getpixel((0, 0)))
    assert decoded(data, "a.png").image.getpixel((0, 0)) == (255, 255, 255)
    as_stored = decode(io.BytesIO(data), "a.png", NATIVE, max_megapixels=1, colour_conversion=False)
    assert difference(as_stored.image, palette) == 0


def test_an_opaque_picture_with_an_alpha_channel_keeps_its_identity() -> None:
    image = picture()
    plain = decoded(still_bytes(image, "png"), "a.png")
    image.putalpha(255)
    assert decoded(still_bytes(image, "png"), "a.png").pixel_hash == plain.pixel_hash


@pytest.mark.parametrize(
    ("values", "suffix"),
    [
        (np.linspace(0, 65535, 256 * 256).reshape(256, 256).astype(np.uint16), "png"),
        (np.linspace(0, 65535, 256 * 256).reshape(256, 256).astype(np.uint16), "tif"),
        (np.linspace(0, 65535, 256 * 256).reshape(256, 256).astype(np.int32), "tif"),
        (np.linspace(0, 2_000_000_000, 256 * 256).reshape(256, 256).astype(np.int32), "tif"),
        (np.linspace(0, 1, 256 * 256).reshape(256, 256).astype(np.float32), "tif"),
        (np.linspace(0, 7e5, 256 * 256).reshape(256, 256).astype(np.float32), "tif"),
    ],
)
def test_deep_grey_is_scaled_and_not_clipped(values: np.ndarray, suffix: str) -> None:
    pixels = np.asarray(decoded(still_bytes(Image.fromarray(values), suffix), f"a.{suffix}").image)
    expected = np.linspace(0, 255, 256 * 256).reshape(256, 256)
    assert np.abs(pixels[..., 0] - expected).max() <= 1.01


def test_numbers_that_are_none_become_black() -> None:
    values = np.full((240, 240), np.nan, dtype=np.float32)
    values[:, 120:] = 1.0
    pixels = np.asarray(decoded(still_bytes(Image.fromarray(values), "tif"), "a.tif").image)
    assert pixels[0, 0, 0] == 0
    assert pixels[0, 200, 0] == 255


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_give_the_same_upright_picture(suffix: str, orientation: int) -> None:
    # A TIFF carries the orientation as a tag of its own.
    noted = {"tiffinfo": {274: orientation}} if suffix == "tif" else {"exif": exif_bytes(orientation)}
    data = still_bytes(stored_for(picture(), orientation), suffix, **noted)
    result = decoded(data, f"a.{suffix}")
    assert (result.photo_width, result.photo_height) == (320, 240)
    assert difference(result.image, picture()) < (0.01 if suffix in ("png", "tif", "webp") else 3)


def test_a_heic_is_turned_once() -> None:
    data = still_bytes(stored_for(picture(), 6), "heic", exif=exif_bytes(6))
    assert difference(decoded(data, "a.heic").image, picture()) < 3


XMP_TURNED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    b"</rdf:RDF></x:xmpmeta>"
)


@pytest.mark.parametrize("suffix", STILL_FORMATS)
def test_an_orientation_that_only_xmp_has_is_not_applied(suffix: str) -> None:
    """darktable 5.4.1 shows all six of these as stored; so did 4.2.1."""
    options: dict[str, object] = {"xmp": XMP_TURNED}
    if suffix == "png":
        options = {"pnginfo": PngImagePlugin.PngInfo()}
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", XMP_TURNED.decode())
    elif suffix == "tif":
        options = {"tiffinfo": {700: XMP_TURNED}}
    data = still_bytes(picture(), suffix, **options)
    assert b"tiff:Orientation" in data or suffix in ("heic", "avif")
    if suffix == "heic":  # pillow-heif writes the orientation as the container's own; that counts
        assert decoded(data, "a.heic").image.size == (240, 320)
    else:
        assert difference(decoded(data, f"a.{suffix}").image, picture()) < 3


def test_rotation_can_be_switched_off() -> None:
    stored = stored_for(picture(), 6)
    data = still_bytes(stored, "png", exif=exif_bytes(6))
    assert difference(decoded(data, "a.png", exif_rotation=False).image, stored) == 0


def test_the_first_frame_counts() -> None:
    frames = {"save_all": True, "append_images": [picture(seed=2)]}
    for suffix in ("png", "tif", "webp"):
        data = still_bytes(picture(), suffix, **frames)
        assert difference(decoded(data, f"a.{suffix}").image, picture()) < 0.01


def test_damaged_or_odd_exif_never_fails_a_photo() -> None:
    whole = exif_bytes(6, DateTimeOriginal="2026:05:01 10:00:00")
    for exif in (whole[:20], whole[:-9], b"Exif\0\0" + b"\xff" * 60, exif_bytes(77)):
        assert decoded(still_bytes(picture(), "jpg", exif=exif), "a.jpg").photo_width in (320, 240)


# Lying and damaged files


def test_a_png_named_jpg_is_read_by_what_it_holds() -> None:
    assert difference(decoded(still_bytes(picture(), "png"), "a.jpg").image, picture()) == 0


@pytest.mark.parametrize(
    ("held", "name"),
    [
        *(("jpg", "IMG_1.HEIC"), ("heic", "a.jpg"), ("jpg", "a.avif"), ("jpg", "a.dng"), ("png", "a.cr2")),
        *(("tif", "a.nef"), ("avif", "a.heic"), ("webp", "a.dng"), ("png", "a.bmp")),
    ],
)
def test_what_a_file_holds_decides_and_not_its_name(held: str, name: str) -> None:
    result = decoded(still_bytes(picture(), held), name)
    assert difference(result.image, picture()) < 3
    assert result.pixel_hash == decoded(still_bytes(picture(), held), f"a.{held}").pixel_hash


def test_a_bmp_of_a_dataset_is_decoded_but_is_no_photo() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, format="BMP")
    assert difference(decoded(buffer.getvalue(), "I01.BMP").image, picture()) == 0
    assert not is_photo("I01.BMP")
    with pytest.raises(Poison, match="not supported: it is a BMP"):
        decoded(buffer.getvalue(), "a.jpg")


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        *((b"GIF89a", "a GIF"), (b"8BPS\0\1", "a Photoshop document"), (b"%PDF-1.4", "a PDF document")),
        *((b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000"), (b"\0\0\0\x14ftypqt  ", "a film")),
        *((b"\0\0\0\x18ftypmp42", "a film"), (b"<!DOCTYPE html>", "a web page"), (b"P6\n9 9\n", "a PNM")),
    ],
)
def test_a_kind_that_is_not_supported_is_named_and_never_called_damaged(content: bytes, kind: str) -> None:
    for name in ("a.jpg", "a.heic"):
        with pytest.raises(Poison, match=f"not supported: it is {kind}") as caught:
            decoded(content + bytes(500), name)
        assert "Copy it again" not in str(caught.value)
        assert "is damaged" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.heic", "a.avif", "a.tif"])
def test_a_text_file_is_refused(name: str) -> None:
    with pytest.raises(Poison, match="not a photo"):
        decoded(b"Dear diary, today I took no photos at all.\n" * 100, name)


def test_a_text_file_with_a_raw_suffix_and_an_empty_file_are_refused() -> None:
    with pytest.raises(Poison, match="not supported: it is a RAW of a camera that LibRaw does not know"):
        decoded(b"Dear diary, today I took no photos at all.\n" * 100, "a.nef")
    for name in ("a.jpg", "a.cr2", "a.heic"):
        with pytest.raises(Poison, match=r"it is empty \(0 bytes\)"):
            decoded(b"", name)


@pytest.mark.parametrize("suffix", STILL_FORMATS)
@pytest.mark.parametrize("tenth", range(10))
def test_a_photo_that_is_cut_off_fails(suffix: str, tenth: int) -> None:
    whole = still_bytes(picture(), suffix)
    with pytest.raises(Poison):
        decoded(whole[: len(whole) * tenth // 10], f"a.{suffix}")


@pytest.mark.parametrize("appended", [b"\0", b"\xff", b"\xff\xd9\xff", b"MotionPhoto" * 100, b"\0" * 5000])
def test_what_follows_a_jpeg_is_of_no_concern(appended: bytes) -> None:
    whole = still_bytes(picture(), "jpg", progressive=True)
    assert difference(decoded(whole + appended, "a.jpg").image, picture()) < 3


def test_a_jpeg_with_a_foreign_block_in_its_middle_fails() -> None:
    whole = bytearray(still_bytes(picture(1000, 800), "jpg"))
    middle = len(whole) // 2
    whole[middle : middle + 4] = b"\xff\x9f\xff\xd0"
    with pytest.raises(Poison, match="corrupt"):
        decoded(bytes(whole), "a.jpg")


def test_a_jpeg_with_a_lost_piece_fails() -> None:
    whole = still_bytes(picture(1000, 800), "jpg", restart_marker_rows=2)
    start = whole.index(b"\xff\xd2")
    with pytest.raises(Poison, match="a piece is missing"):
        decoded(whole[:start] + whole[whole.index(b"\xff\xd4") :], "a.jpg")
    assert decoded(whole, "a.jpg").photo_width == 1000


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_with_a_hole_of_zeros_fails(mode: str) -> None:
    whole = bytearray(still_bytes(picture(1000, 800).convert(mode), "jpg"))
    middle = len(whole) // 2
    whole[middle : middle + 512] = bytes(512)
    with pytest.raises(Poison, match="a hole of zeros"):
        decoded(bytes(whole), "a.jpg")


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}, {"quality": 5}])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("colour", ["black", "white", "grey"])
def test_a_flat_picture_is_not_taken_for_a_hole(mode: str, colour: str, options: dict[str, object]) -> None:
    flat = Image.new("RGB", (800, 600), colour).convert(mode)
    assert decoded(still_bytes(flat, "jpg", **options), "a.jpg").photo_width == 800


def test_a_png_with_a_flipped_bit_fails_by_its_checksum() -> None:
    whole = bytearray(still_bytes(picture(), "png"))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(Poison, match="PNG data is damaged"):
        decoded(bytes(whole), "a.png")


def test_a_png_copied_as_text_is_named_for_what_it_was() -> None:
    with pytest.raises(Poison, match="begins like a PNG"):
        decoded(still_bytes(picture(), "png").replace(b"\r\n", b"\n"), "a.png")


# Bombs


def _png_claiming(width: int, height: int, data: bytes) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def test_a_picture_that_claims_too_many_pixels_is_refused_from_its_header() -> None:
    with pytest.raises(Poison, match="30000×30000 pixels are more than 300 megapixels"):
        decoded(_png_claiming(30_000, 30_000, b"\0" * 1000), "bomb.png", max_megapixels=300)


def test_a_small_file_of_many_pixels_is_refused_by_the_limit(tmp_path: Path) -> None:
    Image.new("L", (4000, 3000)).save(tmp_path / "bomb.png", compress_level=9)
    data = (tmp_path / "bomb.png").read_bytes()
    assert len(data) < 40_000
    with pytest.raises(Poison, match=r"decoding\.max_megapixels"):
        decoded(data, "bomb.png", max_megapixels=10)
    assert decoded(data, "bomb.png", max_megapixels=12).photo_width == 4000


@pytest.mark.parametrize("suffix", STILL_FORMATS)
def test_the_limit_holds_for_every_format(suffix: str) -> None:
    with pytest.raises(Poison, match="megapixels"):
        decoded(still_bytes(picture(), suffix), f"a.{suffix}", max_megapixels=0.05)


def test_an_offset_before_the_start_of_the_file_is_damage_not_a_disk_error() -> None:
    with (
        tempfile.TemporaryFile() as file,
        pytest.raises(Poison, match="damaged or cut off"),
        poison_on_error("TIFF data"),
    ):
        file.seek(-1)
    with pytest.raises(Transient, match="Check the disk"), poison_on_error("TIFF data"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
