"""maclip-daemon: a photo library's perceptual quality, judged with MA-CLIP."""

from __future__ import annotations

__version__ = "0.1.0"
__all__ = ["__version__"]
