"""How RGB codes stand for light: primaries and transfer function (ITU-T H.273), and their way to sRGB."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from maclip_daemon.photos.containers.icc_tags import cicp_of_icc

Curve: TypeAlias = Literal["srgb", "pq", "hlg"] | float
"""`srgb`, `pq`, `hlg`, or the exponent of a power function."""
Floats: TypeAlias = NDArray[np.float32]

_D65 = (0.3127, 0.3290)
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65)
_BT601 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
# H.273 table 2: red, green, blue, white.
_PRIMARIES = {
    1: _BT709,
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: _BT601,
    7: _BT601,
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
# H.273 table 3. BT.709 and its kin count as sRGB: they are video's names for the same displays.
_CURVES: dict[int, Curve] = {4: 2.2, 5: 2.8, 8: 1.0, 16: "pq", 18: "hlg"}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SAME_CHROMATICITY = 0.005
_SRGB_GAMMAS = (2.1, 2.3)  # a power function between them counts as sRGB

Chromaticities: TypeAlias = tuple[tuple[float, float], ...]
"""(x, y) of red, green, blue and white."""


class Encoding(NamedTuple):
    """What RGB codes mean."""

    primaries: Chromaticities
    curve: Curve

    @property
    def is_hdr(self) -> bool:
        """Return whether codes go beyond the white of a page, and must be tone-mapped."""
        return self.curve in ("pq", "hlg")

    @property
    def is_srgb(self) -> bool:
        """Return whether it is sRGB, or too near to it to matter."""
        is_like = self.curve == "srgb" or (
            isinstance(self.curve, float) and _SRGB_GAMMAS[0] <= self.curve <= _SRGB_GAMMAS[1]
        )
        distances = np.abs(np.subtract(self.primaries, _BT709))
        return is_like and bool((distances <= _SAME_CHROMATICITY).all())


ADOBE_RGB = Encoding(_ADOBE, 563 / 256)
"""Adobe RGB (1998). Cameras note it in EXIF and embed no profile (DCF 2.0, "optional colour space")."""


def of_cicp(primaries: int, transfer: int) -> Encoding:
    """Return the encoding of two numbers of H.273; unknown ones count as sRGB's."""
    return Encoding(_PRIMARIES.get(primaries, _BT709), _CURVES.get(transfer, "srgb"))


def of_icc(profile: bytes) -> Encoding | None:
    """Return the encoding that a profile names by its `cicp` tag; None without one."""
    numbers = cicp_of_icc(profile)
    return None if numbers is None else of_cicp(*numbers)


def to_srgb_matrix(primaries: Chromaticities) -> Floats:
    """Return the matrix from linear RGB of these primaries to linear sRGB; whites are adapted (Bradford)."""
    theirs, ours = _to_xyz(primaries), _to_xyz(_BT709)
    their_white, our_white = _BRADFORD @ theirs.sum(axis=1), _BRADFORD @ ours.sum(axis=1)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(our_white / their_white) @ _BRADFORD
    matrix: Floats = (np.linalg.inv(ours) @ adapted @ theirs).astype(np.float32)
    return matrix


def _to_xyz(primaries: Chromaticities) -> NDArray[np.float64]:
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def linear_of_srgb(values: Floats) -> Floats:
    """Return light (0 to 1) of sRGB values (0 to 1; IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(np.float32)


_STEPS = 65535
_LIGHT = np.linspace(0, 1, _STEPS + 1, dtype=np.float32)
_SRGB_BYTES = np.rint(
    255 * np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def srgb_bytes(light: Floats) -> NDArray[np.uint8]:
    """Return the sRGB bytes of light; what is below 0 or above 1 is clipped."""
    shown: NDArray[np.uint8] = _SRGB_BYTES[(np.clip(light, 0, 1) * _STEPS + 0.5).astype(np.uint16)]
    return shown
