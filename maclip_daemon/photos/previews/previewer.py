"""The parent's side of a preview process: path → JPEG. Loads no image library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.files.paths import printable_utf8
from maclip_daemon.photos.decoder_environment import ENVIRONMENT
from maclip_daemon.processes.child import Reply
from maclip_daemon.processes.sandboxed_child import SandboxedChild
from maclip_daemon.settings import DecodingSettings

CHILD_MODULE = "maclip_daemon.photos.previews.preview_process"
SIZE_LIMIT = 96 << 20  # bytes of one picture; a JPEG of 100 megapixels has about half of it
_START_S = 30.0  # seconds; a new process may load its libraries from a cold disk
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Preview:
    """A photo as JPEG pictures, upright and in sRGB."""

    picture: bytes
    """At most as large as it was asked for, never enlarged beyond 224 pixels."""
    grid: bytes
    """The same with a long edge of 320 pixels."""
    width: int
    """Pixels of the photo itself."""
    height: int


class Previewer:
    """One preview process. Not thread-safe: one thread owns one previewer."""

    def __init__(self, settings: DecodingSettings, roots: Sequence[Path] = ()) -> None:
        """`roots`: the watched folders, which the process may read."""
        self._timeout_s = settings.timeout_s
        self._child = SandboxedChild(
            CHILD_MODULE,
            {
                "memory_mb": settings.memory_mb,
                "max_megapixels": settings.max_megapixels,
                "timeout_s": settings.timeout_s,
            },
            roots,
            environment=ENVIRONMENT,
        )

    def preview(self, path: Path, long_edge: int, quality: int = 85) -> Preview:
        """Decode a photo and return it as JPEG with a long edge of at most `long_edge` pixels.

        Raises `Poison` (damaged, no photo, too large), `FileChanged`, `Transient` (unreadable),
        `ChildTimedOut`, `ChildDied`. Every message names the photo.
        """
        timeout_s = self._timeout_s + (0.0 if self._child.running else _START_S)
        opened = os.path.abspath(path)
        request = {"path": opened, "name": path.name, "long_edge": long_edge, "quality": quality}
        try:
            reply = self._child.request(request, folders=[Path(opened).parent], timeout_s=timeout_s)
            return _preview(reply)
        except errors.MaclipError as error:
            raise type(error)(f"{printable_utf8(path)}: {error}") from None

    def close(self) -> None:
        """End the process."""
        self._child.close()


def _preview(reply: Reply) -> Preview:
    """Return the checked reply of the child, which a hostile photo may have taken over."""
    try:
        first, second = (int(size) for size in reply.header["sizes"])
        width, height = int(reply.header["width"]), int(reply.header["height"])
        picture, grid = reply.payload[:first], reply.payload[first:]
        if min(first, second, width, height) <= 0 or len(grid) != second or len(picture) > SIZE_LIMIT:
            raise ValueError("its sizes do not fit")
        if not (picture.startswith(_JPEG) and grid.startswith(_JPEG)):
            raise ValueError("it is no JPEG")
    except (KeyError, TypeError, ValueError) as error:
        raise errors.Transient(f"the preview process's reply is invalid ({error}).") from None
    return Preview(picture, grid, width, height)
