"""Small pictures of photos in a terminal: in kitty's or sixel graphics where it has them, else in blocks."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from maclip_daemon.errors import MaclipError
from maclip_daemon.files.paths import printable, printable_utf8
from maclip_daemon.photos.previews.previewer import Previewer
from maclip_daemon.settings import DecodingSettings

if TYPE_CHECKING:
    from rich.console import RenderableType

ROWS = 8  # of text, for each picture
LONG_EDGE = 320  # pixels; a row of a terminal has about twenty


@contextlib.contextmanager
def pictures(settings: DecodingSettings, roots: Sequence[Path]) -> Iterator[Callable[[str], RenderableType]]:
    """Yield the function that makes the picture of a photo at a path, or a sentence why there is none.

    Photos are decoded in a process of their own, as for the review page. `roots`: what it may read.
    """
    from PIL import Image
    from rich.padding import Padding
    from rich.text import Text

    logging.getLogger("textual_image").setLevel(logging.ERROR)  # a terminal that does not answer is no news
    from textual_image import renderable  # asks the terminal what it can show

    with contextlib.closing(Previewer(settings, roots)) as previewer:

        def picture(path: str) -> RenderableType:
            try:
                preview = previewer.preview(Path(path), LONG_EDGE)
            except MaclipError as error:
                reason = str(error).removeprefix(f"{printable_utf8(path)}: ")  # the line above has the path
                return Padding(Text(f"No picture: {printable(reason)}", style="italic"), (0, 0, 0, 2))
            with Image.open(io.BytesIO(preview.grid), formats=("JPEG",)) as image:
                image.load()
                shown = renderable.Image(image, width="auto", height=ROWS)
            return Padding(shown, (0, 0, 1, 2))

        yield picture


def can_be_shown() -> bool:
    """Return whether a terminal shows what is printed, and can be asked what it understands."""
    return sys.stdout.isatty() and sys.stdin.isatty()
