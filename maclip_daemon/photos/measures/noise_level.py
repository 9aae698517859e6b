"""Noise, from the calmest part of each cell of a picture.

A Laplacian of 3×3 pixels removes what is flat or rises evenly, and leaves white noise (J. Immerkær, *Fast
noise variance estimation*, Computer Vision and Image Understanding 64, 1996). Fine texture passes it too, but
varies more slowly than noise: patches in which slow changes prevail do not count. Noise is everywhere: where
any calm part shows less, the rest is the texture of foliage, gravel or cloth.
"""

from __future__ import annotations

import numpy as np

from maclip_daemon.photos.measures.luma_patches import LumaPatches
from maclip_daemon.photos.measures.photo_measures import Measure

_GAIN = 6.0  # standard deviation of the Laplacian of white noise with a standard deviation of 1
_DARKEST, _BRIGHTEST = 14, 241  # mean grey levels; beyond them noise is cut off
_WHITE = 0.55  # least share of the deviation that is left by the Laplacian; about 0.3 in texture
_ENOUGH = 24  # patches
_CALM_SHARE = 0.1  # of the patches
_ROUNDING = 0.3  # grey levels; whole numbers have so much noise wherever a picture is not flat
_CALMEST = 1.2  # the calmest patches have less noise than all, by chance


def noise_of(picture: LumaPatches) -> Measure:
    """Return the standard deviation of the noise, in grey levels of 255 at 100 %, as if it were white.

    RAW files that are developed without noise reduction have more of it than their JPEGs.
    """
    patches = picture.flat_patches().astype(np.float32)
    mean = patches.mean((1, 2))
    patches = patches[(mean > _DARKEST) & (mean < _BRIGHTEST)]
    if not len(patches):
        return Measure(0.0, 0.0)
    down = patches[:, :-2] - 2 * patches[:, 1:-1] + patches[:, 2:]
    laplacian = down[:, :, :-2] - 2 * down[:, :, 1:-1] + down[:, :, 2:]
    fine = np.sqrt((laplacian**2).mean((1, 2))) / _GAIN
    is_white = fine > _WHITE * _without_slope(patches)
    counted = fine[is_white] if is_white.sum() >= 4 else fine
    calm, calmest = (float(np.quantile(each, _CALM_SHARE)) for each in (counted, fine))
    level = _CALMEST * min(calm, max(calmest, _ROUNDING)) / picture.scale
    agreement = min(1.0, calmest / max(calm, 1e-6))
    return Measure(level, min(1.0, float(is_white.sum()) / _ENOUGH) * agreement)


def _without_slope(patches: np.ndarray) -> np.ndarray:
    """Return the standard deviation of each patch after its mean plane is taken away."""
    side = patches.shape[1]
    ramp = np.arange(side, dtype=np.float32) - (side - 1) / 2
    ramp /= np.sqrt((ramp**2).sum() * side)
    centred = patches - patches.mean((1, 2), keepdims=True)
    slopes = (centred * ramp).sum((1, 2)) ** 2 + (centred * ramp[:, None]).sum((1, 2)) ** 2
    variance = ((centred**2).sum((1, 2)) - slopes) / (side * side - 3)
    found: np.ndarray = np.sqrt(np.maximum(variance, 0))
    return found
