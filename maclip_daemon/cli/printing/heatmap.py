"""`maclip show --heatmap`: how sharp each part of a photo is, drawn over it."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.errors import EnvironmentUnfit, UsageError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from PIL import Image

    from maclip_daemon.photos.measures.photo_measures import PhotoMeasures
    from maclip_daemon.settings import Settings

LONG_EDGE = 1600  # pixels of the picture that is written
TINT = 0.5  # share of the colour; the rest is the photo in grey
# Colour-blind-safe ends (Okabe-Ito): blue where it is sharp, vermilion where it is blurred.
SHARP, BLURRED = (0, 114, 178), (213, 94, 0)
SHARPEST, MOST_BLURRED = 0.5, 4.0  # px of blur at 100 %, the ends of the colours
LEGEND = f"sharp {SHARPEST} px", f"{MOST_BLURRED:.0f} px blurred", "no colour: no edges to tell"
_LEGEND_HEIGHT = 48  # pixels


def draw(photo: Path, target: Path, settings: Settings) -> None:
    """Write the photo in grey, tinted by how sharp each part is, with a legend below.

    The colours mean the same in every photo: pixels of blur at 100 %. Raises `UsageError` for a photo that is
    too small, or a target that is not a picture or exists, `Poison` for a photo that cannot be decoded.
    """

    if target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"{target} is no picture file. Name a .png, .jpg or .webp file for the heat map.")
    if os.path.lexists(target):
        raise UsageError(f"{target} exists already and was not changed. Name a new file for the heat map.")
    image, measures = _decoded(photo, settings)
    if measures is None:
        raise UsageError(f"There is no heat map of {photo}: it has under 128 pixels on a side.")
    try:
        _with_legend(_tinted(image, measures)).save(target)
    except OSError as error:
        raise EnvironmentUnfit(f"{target} cannot be written: {error.strerror or error}.") from None


def _decoded(photo: Path, settings: Settings) -> tuple[Image.Image, PhotoMeasures | None]:
    from PIL import Image

    from maclip_daemon.photos import spool
    from maclip_daemon.photos.decoder import Decoder

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "spool")
        spool.clean(folder)
        with contextlib.closing(Decoder(settings.decoding, f"long-edge-{LONG_EDGE}", folder)) as decoder:
            decoded = decoder.decode(photo)
        return Image.fromarray(decoded.take_pixels()), decoded.measures


def _tinted(image: Image.Image, measures: PhotoMeasures) -> Image.Image:
    import numpy
    from PIL import Image

    blur = numpy.array([[math.nan if each is None else each for each in row] for row in measures.blur])
    blur *= measures.enlargement.value  # measured as it was before; the map is of 100 %
    grey = numpy.asarray(image.convert("L"), numpy.float32)[..., None]
    share = _enlarged(numpy.nan_to_num(_sharpness(blur), nan=0.5), image.size)
    tint = TINT * _enlarged((~numpy.isnan(blur)).astype(numpy.float32), image.size)
    tinted = (1 - tint) * grey + tint * _colour(share)
    return Image.fromarray(numpy.clip(tinted, 0, 255).astype(numpy.uint8))


def _sharpness(blur: NDArray[numpy.float64]) -> NDArray[numpy.float64]:
    """Return 1 where it is sharp to 0 where it is blurred, in even steps of the logarithm."""
    import numpy

    span = math.log(MOST_BLURRED / SHARPEST)
    found: NDArray[numpy.float64] = 1 - numpy.clip(
        numpy.log(numpy.maximum(blur, 0.01) / SHARPEST) / span, 0, 1
    )
    return found


def _colour(share: NDArray[numpy.float32]) -> NDArray[numpy.float32]:
    import numpy

    sharp, blurred = numpy.array(SHARP, numpy.float32), numpy.array(BLURRED, numpy.float32)
    return share * sharp + (1 - share) * blurred


def _enlarged(cells: NDArray[numpy.floating], size: tuple[int, int]) -> NDArray[numpy.float32]:
    import numpy
    from PIL import Image

    small = Image.fromarray(cells.astype(numpy.float32))
    return numpy.asarray(small.resize(size, Image.Resampling.BILINEAR), numpy.float32)[..., None]


def _with_legend(image: Image.Image) -> Image.Image:
    import numpy
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", (image.width, image.height + _LEGEND_HEIGHT), "white")
    page.paste(image)
    bar_width = max(16, image.width // 4)
    share = numpy.linspace(1, 0, bar_width, dtype=numpy.float32)[None, :, None]
    bar = Image.fromarray(_colour(share).repeat(16, 0).astype(numpy.uint8))
    top = image.height + _LEGEND_HEIGHT // 2
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(max(9, min(18, image.width // 60)))
    sharp, blurred, none = LEGEND
    left = 8 + int(pen.textlength(sharp, font)) + 8
    pen.text((8, top), sharp, "black", font, anchor="lm")
    page.paste(bar, (left, top - 8))
    pen.text((left + bar_width + 8, top), f"{blurred}   ·   {none}", "black", font, anchor="lm")
    return page
