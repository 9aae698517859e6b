"""Colours are scored as a photo manager shows them: profiles, coded primaries, EXIF, HDR."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from make_photos import exif_bytes, picture, still_bytes
from PIL import ExifTags, Image, ImageCms

from maclip_daemon.iqa.protocols import parse
from maclip_daemon.photos.colour import encodings, tone_mapping
from maclip_daemon.photos.decoding import Decoded, decode

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
BT2020, P3, PQ, HLG = 9, 12, 16, 18


def decoded(data: bytes, name: str = "a.jpg", **options: Any) -> Decoded:
    return decode(io.BytesIO(data), name, parse("native"), max_megapixels=100, **options)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other.convert("RGB"), float)).mean())


def matrix_profile(primaries: encodings.Chromaticities, gamma: float) -> bytes:
    """An ICC profile, version 2: columns adapted to D50 (Bradford) and one power function."""
    to_d65 = np.linalg.inv(encodings.to_srgb_matrix(encodings.of_cicp(1, 1).primaries)) @ np.array(
        encodings.to_srgb_matrix(primaries)
    )
    srgb_to_d50 = np.array(
        [
            [0.4360747, 0.3850649, 0.1430804],
            [0.2225045, 0.7168786, 0.0606169],
            [0.0139322, 0.0971045, 0.7141733],
        ]
    )
    columns = srgb_to_d50 @ to_d65

    def xyz(values: Any) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(value * 65536)) for value in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {
        **{b"desc": text.ljust(100, b"\0"), b"wtpt": xyz((0.9642, 1.0, 0.8249))},
        **{name: xyz(columns[:, index]) for index, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))},
        **{name: curve for name in (b"rTRC", b"gTRC", b"bTRC")},
    }
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(content))
        body += content
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"lcms", 0x02100000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0")
    header += b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def encoded(image: Image.Image, primaries: encodings.Chromaticities, gamma: float) -> Image.Image:
    """The codes that show this sRGB image in another RGB space."""
    light = encodings.linear_of_srgb(np.asarray(image, np.float32) / 255)
    other = light @ np.linalg.inv(encodings.to_srgb_matrix(primaries)).T
    return Image.fromarray(np.rint(255 * np.clip(other, 0, 1) ** (1 / gamma)).astype(np.uint8))


ADOBE = encodings.ADOBE_RGB.primaries
DISPLAY_P3 = encodings.of_cicp(P3, 13).primaries
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))


@pytest.mark.parametrize(("primaries", "gamma"), [(ADOBE, 563 / 256), (DISPLAY_P3, 2.2), (PROPHOTO, 1.8)])
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "heic", "avif"])
def test_a_profile_is_applied(suffix: str, primaries: encodings.Chromaticities, gamma: float) -> None:
    codes = encoded(picture(), primaries, gamma)
    data = still_bytes(codes, suffix, icc_profile=matrix_profile(primaries, gamma))
    found = decoded(data, f"a.{suffix}")
    assert difference(found.image, picture()) < 3.5
    as_stored = decoded(data, f"a.{suffix}", colour_conversion=False)
    assert difference(as_stored.image, codes) < 3
    assert found.pixel_hash != as_stored.pixel_hash, "another profile is another picture"
    assert found.pixel_hash.startswith("jpeg:") == (suffix == "jpg")


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "heic", "avif"])
def test_srgb_costs_no_byte_and_no_identity(suffix: str) -> None:
    plain = decoded(still_bytes(picture(), suffix), f"a.{suffix}")
    near = matrix_profile(encodings.of_cicp(1, 13).primaries, 2.2)
    for profile, same in ((SRGB, True), (b"no profile at all", True), (SRGB[:200], True), (near, False)):
        found = decoded(still_bytes(picture(), suffix, icc_profile=profile), f"a.{suffix}")
        assert (found.image.tobytes() == plain.image.tobytes()) == same
        assert (found.pixel_hash == plain.pixel_hash) == same


def test_grey_and_cmyk_profiles_are_applied_and_those_of_other_colours_are_not() -> None:
    grey = picture().convert("L")
    linear = bytearray(matrix_profile(PROPHOTO, 1.0))
    linear[16:20] = b"GRAY"
    shown = decoded(still_bytes(grey, "jpg", icc_profile=bytes(linear).replace(b"rTRC", b"kTRC"))).image
    assert np.asarray(shown, float).mean() > np.asarray(grey, float).mean() + 20
    cmyk = still_bytes(picture().convert("CMYK"), "jpg", icc_profile=matrix_profile(PROPHOTO, 1.8))
    assert difference(decoded(cmyk).image, picture()) < 3, "an RGB profile says nothing of CMYK"


def test_a_grey_photo_with_an_rgb_profile_is_shown_by_its_curve() -> None:
    grey = picture().convert("L")
    data = still_bytes(grey, "png", icc_profile=matrix_profile(PROPHOTO, 1.0))
    shown = decoded(data, "a.png").image
    assert np.asarray(shown, float).mean() > np.asarray(grey, float).mean() + 20


def exif_of_adobe(space: int, index: str) -> bytes:
    exif = Image.Exif()
    exif.load(exif_bytes(1))
    exif.get_ifd(ExifTags.IFD.Exif)[0xA001] = space
    exif.get_ifd(ExifTags.IFD.Exif)[0xA005] = {1: index}
    return exif.tobytes()


def test_adobe_rgb_is_known_by_exif_without_a_profile() -> None:
    codes = encoded(picture(), ADOBE, 563 / 256)
    for space, index, is_adobe in (
        (0xFFFF, "R03", True),
        (2, "R98", True),
        (1, "R98", False),
        (0xFFFF, "R98", False),
    ):
        data = still_bytes(codes, "jpg", exif=exif_of_adobe(space, index))
        assert difference(decoded(data).image, picture() if is_adobe else codes) < 3, (space, index)


def test_chromaticities_of_a_png_count_unless_it_says_srgb() -> None:
    def chunk(kind: bytes, *numbers: float) -> bytes:
        content = b"".join(struct.pack(">I", round(100_000 * number)) for number in numbers)
        content = bytes(1) if kind == b"sRGB" else content
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    codes = encoded(picture(), ADOBE, 563 / 256)
    plain = still_bytes(codes, "png")
    *colours, white = ADOBE
    stated = chunk(b"gAMA", 256 / 563) + chunk(b"cHRM", *(each for xy in (white, *colours) for each in xy))
    assert difference(decoded(plain[:33] + stated + plain[33:], "a.png").image, picture()) < 2
    both = plain[:33] + stated + chunk(b"sRGB") + plain[33:]
    assert difference(decoded(both, "a.png").image, codes) == 0


@pytest.mark.parametrize("suffix", ["heic", "png"])
def test_coded_primaries_count_without_a_profile(suffix: str) -> None:
    codes = encoded(picture(), DISPLAY_P3, 2.2)
    if suffix == "heic":
        data = still_bytes(
            codes, "heic", chroma=444, save_nclx_profile=True, color_primaries=P3, transfer_characteristics=4
        )
    else:
        plain, content = still_bytes(codes, "png"), bytes((P3, 4, 0, 1))
        checksum = struct.pack(">I", zlib.crc32(b"cICP" + content))
        data = plain[:33] + struct.pack(">I", 4) + b"cICP" + content + checksum + plain[33:]
    assert difference(decoded(data, f"a.{suffix}").image, picture()) < 3


# HDR


def hdr_codes(nits: np.ndarray, transfer: int) -> np.ndarray:
    """Ten-bit codes of light in BT.2020, by a search in the decoding function."""
    steps = np.linspace(0, 1, 4096, dtype=np.float32)
    if transfer == PQ:
        return np.rint(1023 * np.interp(nits, tone_mapping.nits_of_pq(steps), steps)).astype(np.uint16)
    # BT.2100 table 5: scene light of display light, then the OETF.
    luminance = np.maximum((nits @ [0.2627, 0.6780, 0.0593])[..., None], 1e-9) / 1000
    scene = np.clip(nits / 1000 * luminance ** ((1 - 1.2) / 1.2), 0, 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    values = np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)
    return np.rint(1023 * values).astype(np.uint16)


def hdr_heic(image: Image.Image, transfer: int, white: float = 203.0, *, brighter: float = 1.0) -> bytes:
    light = encodings.linear_of_srgb(np.asarray(image, np.float32) / 255)
    matrix = np.linalg.inv(encodings.to_srgb_matrix(encodings.of_cicp(BT2020, PQ).primaries))
    nits = np.clip(light @ matrix.T, 0, 1) * white
    nits[: len(nits) // 4] *= brighter
    codes = hdr_codes(nits, transfer).astype(np.uint16) << 6
    heif = pillow_heif.from_bytes(mode="RGB;16", size=image.size, data=codes.tobytes())
    buffer = io.BytesIO()
    heif.save(
        buffer,
        quality=-1,
        chroma=444,
        matrix_coefficients=0,
        save_nclx_profile=True,
        color_primaries=BT2020,
        transfer_characteristics=transfer,
    )
    return buffer.getvalue()


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_what_is_not_brighter_than_white_looks_the_same_in_hdr(transfer: int) -> None:
    data = hdr_heic(picture(), transfer)
    found = decoded(data, "a.heic")
    assert difference(found.image, picture()) < 4
    as_stored = decoded(data, "a.heic", colour_conversion=False)
    assert difference(as_stored.image, picture()) > 10
    assert found.pixel_hash != as_stored.pixel_hash


def test_highlights_are_rolled_off_and_not_clipped() -> None:
    ramp = Image.linear_gradient("L").rotate(90).convert("RGB").resize((256, 240))
    shown = np.asarray(decoded(hdr_heic(ramp, PQ, brighter=4.0), "a.heic").image, float)
    bright, below = (np.sort(rows.mean(axis=(0, 2))) for rows in (shown[:50], shown[120:]))
    assert (np.diff(bright[:-24:16]) > 0).all(), "brighter light stays brighter"
    expected = np.sort(np.asarray(ramp, float)[0, :, 0])
    assert np.abs(below - expected)[:128].mean() < 2, "darker light stays as it is"
    assert below[-1] < 254, "white gives room to what is brighter"


def test_the_eetf_keeps_what_lies_below_its_knee_and_ends_at_white() -> None:
    codes = np.repeat(np.arange(1024, dtype=np.uint16)[None, :, None], 3, axis=2)
    shown = np.asarray(tone_mapping.to_srgb(codes, 10, encodings.of_cicp(BT2020, PQ)), int)[0, :, 0]
    assert (np.diff(shown) >= 0).all()
    assert shown[-1] == 255
    assert tone_mapping.pq_of_nits(203) == pytest.approx(0.5807, abs=1e-3)  # BT.2408 table 1
    assert tone_mapping.nits_of_pq(np.array([0.7518], np.float32))[0] == pytest.approx(1000, rel=0.01)
