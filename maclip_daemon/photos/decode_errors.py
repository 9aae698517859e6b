"""Errors of image libraries become one failed photo with a reason."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator

from maclip_daemon import errors

_LONGEST_REASON = 200  # characters of a library's own words
ADVICE = "Copy it again from the card or a backup."
READ_KINDS = "maclip reads JPEG, PNG, TIFF, WebP, HEIC, AVIF, JPEG XL and camera RAW"


@contextlib.contextmanager
def poison_on_error(what: str) -> Iterator[None]:
    """Raise `Poison` for every error of a decoding library; `what` names what was decoded.

    Errors of this program and `MemoryError` pass. An error of the operating system (it has an errno, a
    library's own error has none) becomes `Transient`: the disk or the network may recover.
    """
    try:
        yield
    except (errors.MaclipError, MemoryError):
        raise
    except Exception as error:  # the border of a stage: libraries raise anything over damage
        # EINVAL comes from damage too: an offset that points before the start of the file.
        if isinstance(error, OSError) and error.errno is not None and error.errno != errno.EINVAL:
            raise errors.Transient(
                f"it cannot be read ({os.strerror(error.errno)}). Check the disk or the network."
            ) from error
        words = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise errors.Poison(f"the {what} is damaged or cut off ({words}). {ADVICE}") from error


def unsupported(kind: str) -> errors.Poison:
    """Return the error of a file that is whole but of a kind that is not read; never "damaged"."""
    return errors.Poison(
        f"this kind of photo is not supported: it is {kind}. The file need not be damaged; {READ_KINDS}. "
        "Export it as one of these to have it scored."
    )


def check_pixels(width: int, height: int, max_megapixels: float) -> None:
    """Raise `Poison` when a picture's header promises no pixels, or more than `max_megapixels`."""
    if width <= 0 or height <= 0:
        raise errors.Poison(f"its header claims {width}×{height} pixels. {ADVICE}")
    if width * height > max_megapixels * 1e6:
        raise errors.Poison(
            f"{width}×{height} pixels are more than {max_megapixels:g} megapixels. "
            "If it is a real photo, raise decoding.max_megapixels."
        )
