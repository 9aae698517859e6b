"""Views: pixels → the normalised tensors that an encoder takes.

A 24-megapixel photo has 1381 views, 830 MB as floats: views are made a few at a time, straight from bytes.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maclip_daemon.iqa.facing import is_mirrored
from maclip_daemon.iqa.view_grid import STRIDE, ViewKind, crop_counts, first_crop
from maclip_daemon.iqa.view_size import VIEW_SIZE


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each colour, in 0…1, that the encoder was trained with."""

    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


CLIP_NORMALISATION = Normalisation()
"""OpenAI's CLIP (arXiv 2103.00020)."""


def normalise(pixels: Tensor, normalisation: Normalisation = CLIP_NORMALISATION) -> Tensor:
    """Return normalised fp32 [..., 3, H, W], channels last in memory, of RGB bytes [..., H, W, 3]."""
    rows = pixels.flatten(-2).to(torch.float32, copy=True)
    return _normalise_rows(rows, normalisation).reshape(pixels.shape).movedim(-1, -3)


def _normalise_rows(rows: Tensor, normalisation: Normalisation) -> Tensor:
    """Normalise colours of 0 to 255 in place, [..., W * 3]."""
    # Row by row, not pixel by pixel: loops over three colours are too short for vector instructions.
    mean, std = _in_rows(normalisation, rows.shape[-1] // 3, rows.device)
    return rows.div_(255).sub_(mean).div_(std)


@functools.lru_cache(maxsize=16)
def _in_rows(normalisation: Normalisation, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=device) for values in (normalisation.mean, normalisation.std))
    return mean.repeat(width), std.repeat(width)


def join(parts: Sequence[Tensor], normalisation: Normalisation = CLIP_NORMALISATION) -> Tensor:
    """Return parts of one size as views [N, 3, h, w], channels last in memory.

    `parts`: RGB bytes [h, w, 3], which are normalised here, or views [3, h, w] that are normalised already.
    """
    height, width = parts[0].shape[:2] if parts[0].dtype == torch.uint8 else parts[0].shape[1:]
    device = parts[0].device
    views = torch.empty(len(parts), height, width, 3, device=device)
    bytes_at = [place for place, part in enumerate(parts) if part.dtype == torch.uint8]
    for place in set(range(len(parts))).difference(bytes_at):
        views[place] = parts[place].movedim(0, -1)
    if device.type != "cpu":
        if bytes_at:
            stacked = torch.stack([parts[place] for place in bytes_at])
            views[bytes_at] = normalise(stacked, normalisation).movedim(1, -1)
        return views.movedim(-1, 1)
    for place in bytes_at:  # one after the other: the processor's cache does not hold a batch of them
        rows = views[place].flatten(1)
        _normalise_rows(rows.copy_(parts[place].flatten(1)), normalisation)
    return views.movedim(-1, 1)


def make_views(
    pixels: Tensor,
    kind: ViewKind,
    start: int = 0,
    stop: int | None = None,
    normalisation: Normalisation = CLIP_NORMALISATION,
    *,
    centred: bool = False,
) -> Tensor:
    """Return views `start` to `stop` (exclusive) of a photo, [n, 3, h, w], in the order of `view_boxes`.

    `pixels`: RGB bytes [H, W, 3] at the protocol's size. Crops and the global view are 224×224; the whole
    photo keeps its size. `centred`: as for `view_boxes`; each view then faces the middle (`iqa.facing`).
    """
    return join(view_parts(pixels, kind, start, stop, normalisation, centred=centred), normalisation)


def view_parts(
    pixels: Tensor,
    kind: ViewKind,
    start: int = 0,
    stop: int | None = None,
    normalisation: Normalisation = CLIP_NORMALISATION,
    *,
    centred: bool = False,
) -> list[Tensor]:
    """Return what `join` makes the views of `make_views` of."""
    if kind == "whole":
        return [pixels]
    height, width = pixels.shape[:2]
    columns, rows = crop_counts(width, height)
    crops = columns * rows
    stop = crops + 1 if stop is None else stop
    parts: list[Tensor] = []
    if start < crops:
        left, top = first_crop(width, height, centred=centred)
        if centred and (width - VIEW_SIZE) % STRIDE % 2 and _is_brighter_right(pixels):
            left += 1  # the odd pixel that the grid leaves over: on the other side in the mirror image
        corners = [divmod(crop, columns) for crop in range(start, min(stop, crops))]
        chosen = [
            pixels[y : y + VIEW_SIZE, x : x + VIEW_SIZE]
            for y, x in ((top + row * STRIDE, left + column * STRIDE) for row, column in corners)
        ]
        if centred:
            sides = [2 * column - (columns - 1) for _, column in corners]
            chosen = [_facing(crop, side) for crop, side in zip(chosen, sides, strict=True)]
        parts += chosen
    if stop > crops:
        parts.append(global_view(_facing(pixels, 0) if centred else pixels, normalisation))
    return parts


def _facing(pixels: Tensor, side: int) -> Tensor:
    """Return RGB bytes [h, w, 3] as they are, or mirrored where `iqa.facing` says so. `side`: as there."""
    return pixels.flip(1) if is_mirrored(side, lambda: _is_brighter_right(pixels)) else pixels


def _is_brighter_right(pixels: Tensor) -> bool:
    """Return whether the right half of RGB bytes [h, w, 3] is brighter than the left one."""
    half = pixels.shape[1] // 2
    left, right = (part.sum(dtype=torch.int64) for part in (pixels[:, :half], pixels[:, -half:]))
    return bool(right > left)


def global_view(pixels: Tensor, normalisation: Normalisation = CLIP_NORMALISATION) -> Tensor:
    """Return the whole photo as [3, 224, 224]: bilinear, align_corners=False, no antialias.

    Equal to `interpolate(normalise(pixels))`, but normalises only the 448 rows and columns that count.
    """
    rows, row_share = _bilinear_sources(pixels.shape[0], pixels.device)
    columns, column_share = _bilinear_sources(pixels.shape[1], pixels.device)
    taken = pixels[rows.flatten()].flatten(1)  # [448, W * 3]
    colours = torch.arange(3, device=pixels.device)
    taken = taken.index_select(1, (columns.flatten()[:, None] * 3 + colours).flatten())
    corners = normalise(taken.reshape(2 * VIEW_SIZE, 2 * VIEW_SIZE, 3), normalisation).movedim(0, -1)
    corners = corners.reshape(2 * VIEW_SIZE, VIEW_SIZE, 2, 3)  # rows, columns, left and right, colours
    share = column_share[:, None].expand(-1, 3)
    across = corners[:, :, 0] * (1 - share) + corners[:, :, 1] * share  # [448, 224, 3]
    across = across.reshape(VIEW_SIZE, 2, VIEW_SIZE * 3)
    share = row_share[:, None]
    view: Tensor = across[:, 0] * (1 - share) + across[:, 1] * share
    return view.reshape(VIEW_SIZE, VIEW_SIZE, 3).movedim(-1, 0)


def squashed_view(pixels: Tensor, normalisation: Normalisation = CLIP_NORMALISATION) -> Tensor:
    """Return the whole photo as [1, 3, 224, 224], antialiased bicubic: for towers that take one size only."""
    return torch.nn.functional.interpolate(
        normalise(pixels, normalisation)[None],
        size=(VIEW_SIZE, VIEW_SIZE),
        mode="bicubic",
        antialias=True,
        align_corners=False,
    )


def _bilinear_sources(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the two source indices of 224 positions, [224, 2], and the share of the second, [224]."""
    # As torch's own kernel rounds: a scale in fp32, one fused multiply-add, the result in fp32. Exact
    # positions would differ from its views by up to 2e-4. On the CPU, because MPS has no doubles.
    scale = torch.tensor(size / VIEW_SIZE, dtype=torch.float32).double()
    positions = ((torch.arange(VIEW_SIZE, dtype=torch.float64) + 0.5) * scale - 0.5).float()
    positions = positions.clamp(min=0).to(device)
    first = positions.long().clamp(max=size - 1)
    second = (first + 1).clamp(max=size - 1)
    return torch.stack([first, second], dim=-1), positions - first
