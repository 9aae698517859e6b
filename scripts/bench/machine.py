"""Limits of this machine (matrix products, copies, JPEG decoding) and its description."""

from __future__ import annotations

import functools
import io
import os
import platform
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image, features
from torch import Tensor, nn

from maclip_daemon.iqa import fused_convolutions
from maclip_daemon.iqa.fused_convolutions import FusedConvolution
from maclip_daemon.scoring.device import be_exact, read_cpu_flags

from .figures import Spread, seconds_of

ISA = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
COPIED_BYTES = 256 << 20  # far more than any cache holds


def matrix_rates(repeats: int, scale: int = 1, device: str = "cpu") -> dict[str, Spread]:
    """GFLOP/s of the fastest product found, for each precision (int8: operations).

    Tried are PyTorch's `mm` and the same work as convolutions (1×1, and 3×3 as in the towers): on some
    processors PyTorch's libraries differ by a factor of two. `scale` divides the sizes.
    """
    be_exact(torch.device(device))
    rates = {}
    with torch.inference_mode():
        for name, dtype in DTYPES.items():
            candidates = products(dtype, scale, device)
            rates[name] = fastest([(work, flop) for work, flop in candidates], repeats)
        with_int8 = fastest(list(int8_products(scale, device)), repeats)
        if with_int8 is not None:
            rates["int8"] = with_int8
    return {name: rate for name, rate in rates.items() if rate is not None}


def products(dtype: torch.dtype, scale: int, device: str) -> Iterator[tuple[Callable[[], object], float]]:
    """Yield a product and its floating-point operations."""
    sizes = (2048 // scale, 3072 // scale) if device == "cpu" else (8192 // scale,)
    for size in sizes:
        left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        yield functools.partial(torch.mm, left, right), 2.0 * size**3
    if device != "cpu":
        return
    for channels, side, kernel in ((2048 // scale, 48, 1), (256 // scale, 48, 3), (512 // scale, 28, 3)):
        convolution = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
        convolution = convolution.to(dtype=dtype, memory_format=torch.channels_last).requires_grad_(False)
        values = torch.randn(4, channels, side, side).to(dtype=dtype, memory_format=torch.channels_last)
        flop = 2.0 * values.numel() * channels * kernel**2
        work: nn.Module = convolution
        if fused_convolutions.is_available(dtype):
            work = FusedConvolution(convolution, "none", tuple(values.shape))
        yield functools.partial(work, values), flop


def int8_products(scale: int, device: str) -> Iterator[tuple[Callable[[], Tensor], float]]:
    """As above; nothing where PyTorch has no such product."""
    size = 2048 // scale
    left, right = (torch.randint(-128, 128, (size, size), dtype=torch.int8, device=device) for _ in range(2))
    try:
        torch._int_mm(left, right)
    except (RuntimeError, AttributeError):
        return
    yield functools.partial(torch._int_mm, left, right), 2.0 * size**3


def fastest(candidates: list[tuple[Callable[[], object], float]], repeats: int) -> Spread | None:
    """The rates of the fastest candidate; the candidates take turns."""
    rates: list[list[float]] = [[] for _ in candidates]
    for _ in range(repeats):
        for place, (work, operations) in enumerate(candidates):
            rates[place].append(operations / min(timed(work)) / 1e9)
    return max((Spread(tuple(one)) for one in rates), key=lambda one: one.median, default=None)


def timed(work: Callable[[], object]) -> list[float]:
    """Seconds, with a CUDA device waited for."""

    def finished() -> None:
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return seconds_of(finished, 3)


def copy_rate(repeats: int, scale: int = 1) -> Spread:
    """GB/s read and written together by copies of a large block."""
    source = torch.ones(COPIED_BYTES // scale, dtype=torch.uint8)
    target = torch.empty_like(source)
    taken = seconds_of(lambda: target.copy_(source), repeats)
    return Spread(tuple(2 * source.numel() / seconds / 1e9 for seconds in taken))


def jpeg_rates(photo: Path, repeats: int) -> dict[str, Spread]:
    """Milliseconds a photo on one core, of the decoder alone: everything, and scaled in the DCT."""
    data = photo.read_bytes()

    def decode(draft: tuple[int, int] | None) -> None:
        image = Image.open(io.BytesIO(data))
        if draft is not None:
            image.draft(None, draft)
        image.load()

    return {
        name: Spread(tuple(1000 * seconds for seconds in seconds_of(lambda size=size: decode(size), repeats)))
        for name, size in (("full", None), ("scaled", (896, 896)))
    }


def description() -> dict[str, Any]:
    """The machine in words, the day, and the versions: no names of hosts or people."""
    flags = read_cpu_flags()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": {
            "cores": os.cpu_count(),
            "architecture": platform.machine(),
            "isa": [name for name in ISA if name in flags],
            "memory_gib": round(psutil.virtual_memory().total / 2**30),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("maclip-daemon", "torch", "open_clip_torch", "pillow")},
            "libjpeg-turbo": features.version("libjpeg_turbo"),
        },
    }
