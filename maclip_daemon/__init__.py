"""maclip-daemon: a photo library's perceptual quality, judged with MA-CLIP.

>>> from maclip_daemon import Scorer
>>> Scorer(model="auto").score("IMG_1.jpg").score
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maclip_daemon.iqa.photo_score import PhotoScore as Score
    from maclip_daemon.scorer import Scorer

__version__ = "0.2.0"
__all__ = ["Score", "Scorer", "__version__"]

_PUBLIC = {
    "Scorer": ("maclip_daemon.scorer", "Scorer"),
    "Score": ("maclip_daemon.iqa.photo_score", "PhotoScore"),
}


def __getattr__(name: str) -> object:
    # Only on use: torch takes seconds to import, and `maclip status` has no need of it.
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)
