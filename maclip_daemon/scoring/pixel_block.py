"""Pixels for the scoring process. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from maclip_daemon.errors import Poison, Transient
from maclip_daemon.iqa.photo_pixels import byte_count


@dataclass(frozen=True)
class PixelBlock:
    """One photo at its protocol's size, and its tiles: RGB bytes in C order, in memory or in a spool file."""

    pixels: bytes | None
    spooled: Path | None
    """A file of nothing but the pixels; its maker removes it after scoring."""
    width: int
    height: int
    name: str = ""
    """For messages: the photo's path."""
    tiles: int = 0
    """How many tiles follow the photo's pixels."""

    @property
    def size(self) -> int:
        """Bytes of its pixels and tiles."""
        return byte_count(self.width, self.height, self.tiles)

    def check(self) -> None:
        """Raise `Poison` for pixels that do not match the sizes, `Transient` for a lost spool file."""
        if self.pixels is not None:
            length = len(self.pixels)
        elif self.spooled is not None:
            try:
                length = self.spooled.stat().st_size
            except OSError as error:
                raise Transient(f"The spooled pixels {self.spooled} are gone: {error.strerror}.") from None
        else:
            raise Poison(f"{self.name or 'The photo'} has no pixels.")
        if min(self.width, self.height) < 1 or length != self.size:
            raise Poison(
                f"{self.name or 'The photo'} has {length} bytes for {self.width}×{self.height} pixels"
                f" and {self.tiles} tiles."
            )
