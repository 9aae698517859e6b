"""What the camera noted of a shot: which camera and lens, how exposed. Needs no image library."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

LONGEST_TEXT = 64  # characters of a make, model, serial or lens; more is damage
LARGEST = 1e9  # beyond any exposure time, aperture, ISO or focal length
_TEXTS = ("make", "model", "serial", "lens")


@dataclass(frozen=True)
class ShotInfo:
    """EXIF of one shot; None where the camera did not note it."""

    make: str | None = None
    model: str | None = None
    serial: str | None = None
    lens: str | None = None
    exposure_s: float | None = None
    """Seconds the shutter was open."""
    aperture: float | None = None
    """The f-number."""
    iso: float | None = None
    bias_ev: float | None = None
    """Exposure compensation, in EV."""
    focal_mm: float | None = None
    """Millimetres, of the lens itself."""
    is_bracketed: bool = False
    """Whether the camera says that the shot is one of an automatic bracket."""

    @property
    def camera(self) -> str | None:
        """Return the camera's name, the maker said once."""
        if self.model is None:
            return self.make
        if self.make is None or self.model.lower().startswith(self.make.split()[0].lower()):
            return self.model
        return f"{self.make} {self.model}"

    def as_json(self) -> dict[str, Any]:
        """Return what is known, for `shot_info_of`."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False)}


NO_SHOT = ShotInfo()  # of a photo without EXIF


def shot_info_of(values: object) -> ShotInfo:
    """Return the shot that `as_json` made. Raise `ValueError` for anything else, whoever sent it."""
    if not isinstance(values, dict):
        raise ValueError("a shot's facts are missing")  # noqa: TRY004 - a child's reply
    known = {field.name for field in fields(ShotInfo)}
    for name, value in values.items():
        if name not in known or not _is_sound(name, value):
            raise ValueError("a shot's facts are invalid")
    return ShotInfo(**values)


def _is_sound(name: str, value: object) -> bool:
    if name == "is_bracketed":
        return value is True
    if name in _TEXTS:
        return isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
