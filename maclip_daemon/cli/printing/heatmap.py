"""`maclip show --heatmap`: the views' scores drawn over the photo."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.errors import EnvironmentUnfit, UsageError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from maclip_daemon.library.queries.rankings import PhotoDetail
    from maclip_daemon.settings import Settings

LONG_EDGE = 1600  # pixels of the picture that is written
TINT = 0.45  # share of the colour; the rest is the photo in grey
# Colour-blind-safe ends (Okabe-Ito): vermilion for the weakest part of this photo, blue for the strongest.
WEAK, STRONG = (213, 94, 0), (0, 114, 178)


def draw(detail: PhotoDetail, target: Path, settings: Settings) -> None:
    """Write the photo with its weak and strong parts tinted.

    Each point has the mean score of the crops that show it; the colours span this photo's own range.
    Raises `UsageError` for a photo without several views or a target that is not a picture, `Poison` for a
    photo that cannot be decoded.
    """
    import numpy
    from PIL import Image

    from maclip_daemon.photos import spool
    from maclip_daemon.photos.decoder import Decoder

    if target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"{target} is no picture file. Name a .png, .jpg or .webp file for the heat map.")
    if os.path.lexists(target):
        raise UsageError(f"{target} exists already and was not changed. Name a new file for the heat map.")
    field = _field(detail)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "spool")
        spool.clean(folder)
        with contextlib.closing(Decoder(settings.decoding, f"long-edge-{LONG_EDGE}", folder)) as decoder:
            photo = decoder.decode(Path(detail.path))
        pixels = photo.pixels if photo.spooled is None else photo.spooled.read_bytes()
    assert pixels is not None
    image = Image.frombytes("RGB", (photo.width, photo.height), pixels)
    grey = numpy.asarray(image.convert("L"), numpy.float32)[..., None]
    weight = numpy.asarray(
        Image.fromarray(field.astype(numpy.float32)).resize(image.size, Image.Resampling.BILINEAR)
    )[..., None]
    colour = weight * numpy.array(STRONG, numpy.float32) + (1 - weight) * numpy.array(WEAK, numpy.float32)
    tinted = (1 - TINT) * grey + TINT * colour
    try:
        Image.fromarray(numpy.clip(tinted, 0, 255).astype(numpy.uint8)).save(target)
    except OSError as error:
        raise EnvironmentUnfit(f"{target} cannot be written: {error.strerror or error}.") from None


def _field(detail: PhotoDetail) -> NDArray[numpy.float32]:
    """Return the mean score of the crops on a coarse grid, from 0 (weakest) to 1 (strongest)."""
    import numpy

    from maclip_daemon.cli.printing.judged_views import judged_views

    width, height = (detail.details.get(key) for key in ("width", "height"))
    crops = [view for view in judged_views(detail) if view[1].kind == "crop"]
    wholes = [score for score, box in judged_views(detail) if box.kind == "whole"]
    if len(crops) < 2 or not width or not height:
        raise UsageError(
            f"There is no heat map of {detail.path}: it was scored as a whole. The photo is small, or the "
            "metric (clipiqa, qualiclip) does not score parts."
        )
    step = 16
    total = numpy.zeros((height // step, width // step), numpy.float32)
    count = numpy.zeros_like(total)
    for score, box in crops:
        rows = slice(box.y // step, (box.y + box.height) // step)
        columns = slice(box.x // step, (box.x + box.width) // step)
        total[rows, columns] += score
        count[rows, columns] += 1
    # No crop shows the rim: it gets the score of the whole photo.
    mean = numpy.where(count > 0, total / numpy.maximum(count, 1), wholes[0])
    spread = float(mean.max() - mean.min())
    return (mean - mean.min()) / spread if spread > 0 else numpy.full_like(mean, 0.5)
