"""The known values of a photo's measures, by the names under which they are stored."""

from __future__ import annotations

from typing import Any

from maclip_daemon.photos.measures.photo_measures import PhotoMeasures
from maclip_daemon.photos.measures.reasons import SEPARATOR, reasons_of

_MEASURED = (
    "focus",
    "motion",
    "noise",
    "clipped_highlights",
    "clipped_shadows",
    "contrast",
    "jpeg_damage",
)


def known_values(measures: PhotoMeasures, width: int, height: int) -> dict[str, Any]:
    """Return what is stored of the measures of a photo of this size; None where a value is not known.

    The names are those of the columns in docs/database.md, and `details` for `maclip show`.
    """
    found = {name: getattr(measures, name) for name in _MEASURED}
    is_moved = measures.motion.known is not None and measures.motion.value > 0
    return {
        **{name: measure.known for name, measure in found.items()},
        "motion_direction": measures.motion_direction if is_moved else None,
        "true_megapixels": measures.true_megapixels(width, height),
        "reasons": SEPARATOR.join(reasons_of(measures, width, height)) or None,
        "details": {
            "confidence": {name: measure.confidence for name, measure in found.items()},
            "focus_x": measures.focus_x,
            "focus_y": measures.focus_y,
            "enlargement": measures.enlargement.value,
            "enlarged_at_least": round(measures.enlarged_at_least(), 2),
            "scale": measures.scale,
        },
    }
