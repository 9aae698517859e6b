"""Prompt pairs: the opposite descriptions that a photo is compared with. Needs no torch.

The letters matter: case, hyphens and full stops are those of the authors' code.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PromptPair:
    """Two opposite descriptions, and the name of the attribute that a photo gets from them."""

    name: str
    good: str
    bad: str


MACLIP_PAIRS = (
    PromptPair("good", "Good image", "bad image"),
    PromptPair("sharpness", "Sharp image", "blurry image"),
    PromptPair("edges", "sharp edges", "blurry edges"),
    PromptPair("resolution", "High resolution image", "low resolution image"),
    PromptPair("noise_free", "Noise-free image", "noisy image"),
)
"""MA-CLIP, arXiv 2511.09948."""

CLIPIQA_PAIRS = (PromptPair("good", "Good photo.", "Bad photo."),)
"""CLIP-IQA, arXiv 2207.12396."""

QUALICLIP_PAIRS = (
    PromptPair("good", "Good photo.", "Bad photo."),
    PromptPair("sharpness", "Sharp image.", "Blurry image."),
    PromptPair("edges", "Sharp edges.", "Blurry edges."),
    PromptPair("resolution", "High-resolution image.", "Low-resolution image."),
    PromptPair("noise_free", "Noise-free image.", "Noisy image."),
    PromptPair("quality", "High-quality image.", "Low-quality image."),
    PromptPair("picture", "Good picture.", "Bad picture."),
)
"""QualiCLIP, arXiv 2403.11176; the order of the rows of `prompts_features` in its checkpoint."""


def texts(pairs: tuple[PromptPair, ...]) -> tuple[str, ...]:
    """Return the prompts in the order good, bad, good, bad, …"""
    return tuple(text for pair in pairs for text in (pair.good, pair.bad))
