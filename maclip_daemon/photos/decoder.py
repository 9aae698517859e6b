"""The parent's side of a decoder process: path → pixels. Loads no image library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.iqa.photo_pixels import PhotoPixels, byte_count, split
from maclip_daemon.photos import spool as spools
from maclip_daemon.photos.decoder_environment import ENVIRONMENT
from maclip_daemon.photos.measures.photo_measures import PhotoMeasures
from maclip_daemon.photos.shots.descriptor_layout import is_descriptor
from maclip_daemon.photos.shots.shot_info import NO_SHOT, ShotInfo, shot_info_of
from maclip_daemon.processes.child import Reply
from maclip_daemon.processes.sandboxed_child import SandboxedChild
from maclip_daemon.settings import DecodingSettings

if TYPE_CHECKING:
    from maclip_daemon.iqa.protocols import Pixels

CHILD_MODULE = "maclip_daemon.photos.decoder_process"
_START_S = 30.0  # seconds; a new process may load its libraries from a cold disk


@dataclass(frozen=True)
class DecodedPhoto:
    """The pixels of one photo at the protocol's size, with the photo's own size, identity and time."""

    pixels: bytes | None
    """RGB uint8, height × width × 3 in C order, then the tiles; None when they are spooled."""
    spooled: Path | None
    """A file with the same bytes, for more than 256 KiB; its reader removes it."""
    width: int
    """Pixels, at the protocol's size."""
    height: int
    photo_width: int
    """Pixels of the photo itself, upright; for a RAW those of the RAW, not of its preview."""
    photo_height: int
    pixel_hash: str
    """The key of its score: a hash of the picture without its metadata (`picture_identity`)."""
    former_hash: str | None
    """The `pixel_hash` of earlier versions, when the known hash is one of theirs."""
    taken_at: datetime | None
    """EXIF DateTimeOriginal; without time zone where the camera recorded none."""
    shot: ShotInfo = NO_SHOT
    """What the camera noted of the shot."""
    descriptor: bytes | None = None
    """How the picture looks (`shots/descriptor_layout`); None when it was not computed."""
    tiles: int = 0
    """How many tiles follow the pixels, 224 × 224 × 3 bytes each."""
    measures: PhotoMeasures | None = None
    """What the pixels tell; None for a picture too small for it."""

    @property
    def size(self) -> int:
        """Bytes of its pixels and tiles, in memory or spooled."""
        return byte_count(self.width, self.height, self.tiles)

    def take_pixels(self) -> Pixels:
        """Return the photo without its tiles, as `take_photo` does."""
        return self.take_photo().picture

    def take_photo(self) -> PhotoPixels:
        """Return all pixels, writable, and remove the spooled file. Raises `Transient` when it is gone."""
        import numpy as np  # not in the daemon's parent process

        if self.spooled is None:
            values = np.frombuffer(bytearray(self.pixels or b""), np.uint8)
            return split(values, self.width, self.height, self.tiles)
        try:
            return split(np.fromfile(self.spooled, np.uint8), self.width, self.height, self.tiles)
        except (OSError, ValueError):
            raise errors.Transient(f"The decoded pixels in {self.spooled} are gone. Try again.") from None
        finally:
            self.discard()

    def discard(self) -> None:
        """Remove the spooled pixels, if any."""
        if self.spooled is not None:
            spools.discard(self.spooled)


class Decoder:
    """One decoder process. Not thread-safe: one thread owns one decoder."""

    def __init__(
        self,
        settings: DecodingSettings,
        protocol: str,
        spool: Path,
        *,
        module: str = CHILD_MODULE,
        roots: Sequence[Path] = (),
    ) -> None:
        """`protocol`: a name that `iqa.protocols.parse` knows. `spool`: an existing folder, see `spool`.

        `roots`: the watched folders, which the decoder may read; of other photos it may read the folder.
        """
        self._settings = settings
        self._spool = spool
        self._child = SandboxedChild(
            module,
            {
                "spool": os.path.abspath(spool),
                "protocol": protocol,
                "memory_mb": settings.memory_mb,
                "max_megapixels": settings.max_megapixels,
                "exif_rotation": settings.exif_rotation,
                "two_steps": settings.two_step_reduction,
                "colour_conversion": settings.colour_conversion,
                "timeout_s": settings.timeout_s,
            },
            roots,
            environment=ENVIRONMENT,
        )

    @property
    def pid(self) -> int | None:
        """The decoder's process id, or None while none runs."""
        return self._child.pid

    def decode(self, path: Path, known_hash: str | None = None, *, follow_link: bool = False) -> DecodedPhoto:
        """Decode one photo.

        `known_hash`: the library's `pixel_hash` of it, to recognise its picture by. `follow_link`: decode the
        target of a symbolic link, for paths that a person named; the daemon follows none.
        Raises `Poison` (damaged, no photo, too large), `FileChanged`, `NoSpace`, or `Transient` (unreadable);
        `ChildTimedOut` and `ChildDied` when the decoder was stopped or crashed. The next photo then gets a
        new process. Every message names the photo, except that of `NoSpace`.
        """
        spooled = spools.new_path(self._spool)
        timeout_s = self._settings.timeout_s + (0.0 if self._child.running else _START_S)
        opened = os.path.realpath(path) if follow_link else os.path.abspath(path)
        try:
            reply = self._child.request(
                {
                    "path": opened,
                    "name": path.name,
                    "spool_path": os.fspath(spooled),
                    "former_hash": known_hash is not None and ":" not in known_hash,
                },
                folders=[Path(opened).parent],
                timeout_s=timeout_s,
            )
            return _photo(reply, spooled)
        except errors.ChildTimedOut:
            spools.discard(spooled)
            raise errors.ChildTimedOut(
                f"{printable_utf8(path)}: decoding took longer than {self._settings.timeout_s:g} s and was "
                "stopped. If it is a very large photo, raise decoding.timeout_s."
            ) from None
        except errors.ChildDied as error:
            spools.discard(spooled)
            raise errors.ChildDied(
                f"{printable_utf8(path)}: {error}. It is damaged and crashes its reader, or needs more than "
                f"{self._settings.memory_mb} MiB of memory. If it opens elsewhere, raise decoding.memory_mb."
            ) from None
        except errors.NoSpace:
            spools.discard(spooled)
            raise  # not this photo's fault, so it is not named
        except errors.MaclipError as error:
            spools.discard(spooled)
            raise type(error)(f"{printable_utf8(path)}: {error}") from None

    def close(self) -> None:
        """End the decoder process."""
        self._child.close()


def _photo(reply: Reply, spooled: Path) -> DecodedPhoto:
    """Return the checked reply of the child, which a hostile photo may have taken over."""
    header: dict[str, Any] = reply.header
    try:
        width, height = int(header["width"]), int(header["height"])
        photo_width, photo_height = int(header["photo_width"]), int(header["photo_height"])
        tiles, in_file = int(header.get("tiles", 0)), bool(header["spooled"])
        taken_at = datetime.fromisoformat(header["taken_at"]) if header["taken_at"] else None
        pixel_hash, former_hash = str(header["pixel_hash"]), header.get("former_hash")
        shot = shot_info_of(header.get("shot", {}))
        descriptor = bytes.fromhex(header["descriptor"]) if header.get("descriptor") else None
        if descriptor is not None and not is_descriptor(descriptor):
            raise ValueError("the descriptor is invalid")
        told = header["measures"]
        measures = None if told is None else PhotoMeasures.from_json(told)
        length = spooled.stat().st_size if in_file else len(reply.payload)
        if min(width, height) <= 0 or tiles < 0 or length != byte_count(width, height, tiles):
            raise ValueError(f"{length} bytes for {width}×{height} pixels and {tiles} tiles")
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise errors.Transient(f"the decoder's reply is invalid ({error}).") from None
    return DecodedPhoto(
        pixels=None if in_file else reply.payload,
        spooled=spooled if in_file else None,
        width=width,
        height=height,
        photo_width=photo_width,
        photo_height=photo_height,
        pixel_hash=pixel_hash,
        former_hash=None if former_hash is None else str(former_hash),
        taken_at=taken_at,
        shot=shot,
        descriptor=descriptor,
        tiles=tiles,
        measures=measures,
    )
