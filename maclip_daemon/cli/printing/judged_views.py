"""Which part of a photo each of its stored view scores belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maclip_daemon.iqa.view_size import Box
    from maclip_daemon.library.queries.photo_detail import PhotoDetail


def judged_views(detail: PhotoDetail) -> list[tuple[float, Box]]:
    """Return score and box of each view of a photo, at its protocol's size: crops, the whole, tiles.

    Empty for a photo that was scored as a whole, or by a version of maclip that kept no view scores.
    """
    from maclip_daemon.errors import UsageError
    from maclip_daemon.iqa import protocols
    from maclip_daemon.iqa.view_grid import view_boxes

    scores, width, height = (detail.details.get(key) for key in ("view_scores", "width", "height"))
    if detail.quality is None or not scores or not width or not height:
        return []
    try:
        protocol = protocols.parse(detail.quality.protocol)
    except UsageError:
        return []
    has_tiles = detail.details.get("tiles") and detail.width and detail.height
    tiles = protocol.tile_grid(detail.width or 0, detail.height or 0) if has_tiles else None
    boxes = view_boxes(width, height, centred=protocol.is_centred, tiles=tiles)
    return list(zip(scores, boxes, strict=True)) if len(boxes) == len(scores) else []
