"""What a file holds, told by its first bytes. Its name may say something else: phones and exports rename."""

from __future__ import annotations

import enum

from maclip_daemon.photos.containers import jxl_header

HEAD_BYTES = 64


class ContentKind(enum.Enum):
    """Kinds of content that are read, by the name that is spoken."""

    JPEG = "JPEG"
    PNG = "PNG"
    TIFF = "TIFF"
    WEBP = "WebP"
    HEIF = "HEIC"
    AVIF = "AVIF"
    JXL = "JPEG XL"
    BMP = "BMP"
    RAW = "camera RAW"


_SIGNATURES = (
    (b"\xff\xd8\xff", ContentKind.JPEG),
    (b"\x89PNG", ContentKind.PNG),
    (jxl_header.CODESTREAM, ContentKind.JXL),
    (jxl_header.CONTAINER, ContentKind.JXL),
    *((magic, ContentKind.RAW) for magic in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")),
    *((magic, ContentKind.RAW) for magic in (b"FOVb", b"\0MRM")),
    *((magic, ContentKind.TIFF) for magic in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_OTHER_SIGNATURES = (
    (b"GIF8", "a GIF"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"II\xbc\x01", "a JPEG XR picture"),
    (b"v/1\x01", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"#?RGBE", "a Radiance HDR picture"),
    (b"gimp xcf", "a GIMP document"),
    (b"qoif", "a QOI picture"),
    (b"BPG\xfb", "a BPG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x1aE\xdf\xa3", "a film"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG drawing"),
)


def content_kind(head: bytes) -> ContentKind | None:
    """Return what a file holds that begins with `head` (`HEAD_BYTES`); None for what is not read.

    TIFF also stands for the RAW formats built on it.
    """
    for magic, kind in _SIGNATURES:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ContentKind.WEBP
    if head[6:14] == b"HEAPCCDR":
        return ContentKind.RAW
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    return ContentKind.BMP if _is_bmp(head) else None


def other_kind(head: bytes) -> str | None:
    """Return the name of a known kind of file that is not read; None when it is unknown."""
    for magic, name in _OTHER_SIGNATURES:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp" or head[4:8] in (b"moov", b"mdat", b"wide"):
        return "a film"
    if head[:2] in (b"P5", b"P6", b"P7") and head[2:3].isspace():
        return "a PNM picture"
    return "a BMP" if _is_bmp(head) else None


def _of_brands(head: bytes) -> ContentKind | None:
    """Return the kind by the brands of an ISO 14496-12 file; the major one decides."""
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))]
    if brands[0] == b"crx ":
        return ContentKind.RAW
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return ContentKind.AVIF
        if brand in _HEIF_BRANDS and not _AVIF_BRANDS & set(brands):
            return ContentKind.HEIF
    return None


def _is_bmp(head: bytes) -> bool:
    return (
        head[:2] == b"BM"
        and head[6:10] == bytes(4)
        and head[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0")
    )
