"""What was measured on a photo, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maclip_daemon.library.queries.photo_detail import PhotoDetail
    from maclip_daemon.library.queries.photo_rows import PhotoRow

_SHARP, _SOFT = 1.0, 2.5  # px of blur; up to the first it looks sharp at 100 %
_BLOCKS = 100  # per cent by which blocks stand out; from there on their borders pass for sharp edges
_FINE_SCALE = 0.45  # measured pixels a pixel; below it fine blur cannot be seen


def lines(detail: PhotoDetail, row: PhotoRow) -> Iterator[str]:
    """Yield why a photo lacks quality, and all that was measured on its pixels."""
    for place, reason in enumerate(row.reasons.split("; ") if row.reasons else []):
        yield f"  {'' if place else 'why':<10} {reason}"
    if row.clipped_highlights is None:
        yield "  measured   not yet, or it is too small (under 128 pixels)"
        return
    yield f"  measured   {_at(detail)}"
    yield f"    focus    {_focus(detail, row)}"
    if row.motion is not None:
        yield f"    motion   {_motion(row)}"
    if row.noise is not None:
        yield f"    noise    {row.noise:.1f} of 255 grey levels"
    yield f"    clipped  highlights {row.clipped_highlights:.1f} %, shadows {row.clipped_shadows or 0:.1f} %"
    if row.contrast is not None:
        yield f"    contrast {row.contrast:.1f} stops between dark and bright parts"
    if row.jpeg_damage is not None:
        yield f"    JPEG     blocks stand out by {row.jpeg_damage:.0f} %"
    if row.true_megapixels is not None and row.width and row.height:
        yield f"    detail   of {_true_megapixels(detail, row)}; the file has {_megapixels(row):.1f}"


def _at(detail: PhotoDetail) -> str:
    scale = float(detail.measured.get("scale", 1.0))
    if scale >= 1:
        return "on all pixels"
    if scale >= _FINE_SCALE:
        return f"at {scale:.0%} of its size, in pixels of 100 %"
    return f"at {scale:.0%} of its size, where fine blur and noise cannot be seen"


def _focus(detail: PhotoDetail, row: PhotoRow) -> str:
    if row.focus is None:
        return "not known: there are too few edges"
    across, down = (float(detail.measured.get(key, 0.5)) for key in ("focus_x", "focus_y"))
    column = "left" if across < 0.4 else "right" if across > 0.6 else "centre"
    line = "upper" if down < 0.4 else "lower" if down > 0.6 else "middle"
    where = "the centre" if (line, column) == ("middle", "centre") else f"{line} {column}"
    word = "sharp" if row.focus <= _SHARP else "a little soft" if row.focus <= _SOFT else "blurred"
    factor = float(detail.measured.get("enlargement", 1.0))
    before = ", before it was enlarged" if factor > 1 else ""
    blocks = "; blocks of JPEG look sharp, too" if (row.jpeg_damage or 0) >= _BLOCKS else ""
    return f"{word}: {row.focus:.1f} px blur in the sharpest part ({where}){before}{blocks}"


def _motion(row: PhotoRow) -> str:
    if not row.motion:
        return "none in the sharpest part"
    return f"about {row.motion:.0f} px at {row.motion_direction or 0:.0f}° in the sharpest part"


def _true_megapixels(detail: PhotoDetail, row: PhotoRow) -> str:
    """Return the true resolution; of an enlarged picture only the most that it can be is sure."""
    factor = float(detail.measured.get("enlarged_at_least", 1.0))
    if factor <= 1:
        return f"{row.true_megapixels:.1f} megapixels"
    return f"at most {_megapixels(row) / factor**2:.1f} megapixels"


def _megapixels(row: PhotoRow) -> float:
    return (row.width or 0) * (row.height or 0) / 1e6
