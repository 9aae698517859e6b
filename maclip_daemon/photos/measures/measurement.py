"""Measures a decoded picture: pixels → `PhotoMeasures`. Runs in the decoder process."""

from __future__ import annotations

import math

from PIL import Image

from maclip_daemon.photos.measures import enlargement, jpeg_blocks, noise_level, sharpness, tones
from maclip_daemon.photos.measures.luma_patches import patches_of
from maclip_daemon.photos.measures.photo_measures import Measure, PhotoMeasures

_DIGITS = 3  # more is noise, and would fill the frame
_FINE_SCALE = 0.45  # measured pixels a pixel; below it fine blur, noise and rhythms are averaged away


def measure(image: Image.Image, scale: float, *, is_developed: bool = False) -> PhotoMeasures | None:
    """Return what the pixels of an upright RGB image tell; None for a picture under 128 pixels.

    `scale`: pixels of the image for each pixel of the photo itself. `is_developed`: it is a RAW without noise
    reduction.
    """
    picture = patches_of(image, _fraction(scale, image.width))
    if picture is None:
        return None
    noise = noise_level.noise_of(picture)
    sharp = sharpness.sharpness_of(picture, noise.value)
    light = tones.tones_of(image)
    enlarged = enlargement.factor_of(picture, max(sharp.focus.value, sharp.motion.value / 4))
    factor = enlarged.value
    is_fine = picture.scale >= _FINE_SCALE
    return PhotoMeasures(
        focus=_rounded(sharp.focus.value / factor, sharp.focus.confidence),
        focus_x=round(sharp.focus_at[0], _DIGITS),
        focus_y=round(sharp.focus_at[1], _DIGITS),
        motion=_rounded(sharp.motion.value / factor, sharp.motion.confidence),
        motion_direction=round(sharp.motion_direction, 1),
        noise=_rounded(noise.value, noise.confidence * is_fine),
        clipped_highlights=_rounded(light.clipped_highlights.value, light.clipped_highlights.confidence),
        clipped_shadows=_rounded(light.clipped_shadows.value, light.clipped_shadows.confidence),
        contrast=_rounded(light.contrast.value, light.contrast.confidence),
        jpeg_damage=_rounded(*_of(jpeg_blocks.blocking_of(picture))),
        enlargement=_rounded(enlarged.value, enlarged.confidence * is_fine),
        brightest=round(light.brightest, _DIGITS),
        scale=picture.scale,
        is_developed=is_developed,
        blur=tuple(
            tuple(None if math.isnan(each) else round(each / factor, 2) for each in row)
            for row in sharp.blur.tolist()
        ),
    )


def _fraction(scale: float, width: int) -> float:
    """Return the fraction in eighths that a JPEG was decoded at; its width is rounded up to whole pixels."""
    eighths = round(scale * 8) / 8
    return eighths if eighths > 0 and abs(scale - eighths) * width <= 1 else scale


def _of(measure: Measure) -> tuple[float, float]:
    return measure.value, measure.confidence


def _rounded(value: float, confidence: float) -> Measure:
    return Measure(round(max(0.0, float(value)), _DIGITS), round(float(confidence), 2))
