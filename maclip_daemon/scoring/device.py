"""The device that scores, its arithmetic and its memory."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from maclip_daemon.errors import ConfigurationError, EnvironmentUnfit
from maclip_daemon.iqa.encoder import Precision
from maclip_daemon.iqa.protocols import Pixels

_CPU_FLAGS_WITH_BF16 = frozenset({"avx512_bf16", "amx_bf16"})
_OUT_OF_MEMORY_WORDS = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # the CPU allocator on Linux
    "not enough memory",  # the CPU allocator on Windows
    "ALLOC_FAILED",  # cuBLAS and cuDNN without room for their workspace
)


def choose_device(wanted: str) -> torch.device:
    """Return the named device; for `auto` CUDA, else Apple's MPS, else the processor.

    Raises `ConfigurationError` for a name that is no device, `EnvironmentUnfit` for a missing device.
    """
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise ConfigurationError(f"There is no device {wanted!r}. Choose auto, cpu, cuda, cuda:N or mps.")
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available[device.type]:
        raise EnvironmentUnfit(
            f"PyTorch {torch.__version__} finds no device {wanted!r} on this machine. "
            "Choose auto or cpu, or check the driver with `maclip doctor`."
        )
    return device


def choose_precision(
    wanted: Literal["auto", "fp32", "bf16", "fp16"],
    device: torch.device,
    cpu_flags: frozenset[str] | None = None,
) -> Precision:
    """Return the arithmetic of the encoder; for `auto` what the device does best.

    CUDA: bf16 where the hardware has it, else fp16 (whose overflows are scored again in fp32). The processor:
    bf16 where it has instructions for it, else fp32. MPS: fp32, because nothing else was measured there.
    docs/iqa.md has the differences. `cpu_flags`: for tests.
    """
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu" and _CPU_FLAGS_WITH_BF16 & (read_cpu_flags() if cpu_flags is None else cpu_flags):
        return "bf16"
    return "fp32"


def read_cpu_flags(cpu_information: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the processor's features as Linux names them; none on other systems."""
    try:
        lines = cpu_information.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    flags = next((line for line in lines if line.startswith("flags")), "")
    return frozenset(flags.partition(":")[2].split())


def be_exact(device: torch.device) -> None:
    """Keep fp32 fp32: CUDA would otherwise round convolutions to TF32 (10 bits)."""
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def limit_memory(device: torch.device, most_mib: int) -> None:
    """Limit this process to `most_mib` of a CUDA device; batches then shrink to fit. 0: no limit.

    Other devices have no such limit.
    """
    if device.type == "cuda" and most_mib:
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, (most_mib << 20) / total), device)


def upload(pixels: Pixels, device: torch.device) -> Tensor:
    """Return the pixels on the device, copied through page-locked memory.

    Bytes are a quarter of the encoder's floats; the views, which overlap, are cut on the device.
    """
    tensor = torch.from_numpy(pixels)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the memory ran out, so that a smaller batch may help."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY_WORDS)


def is_device_lost(error: BaseException) -> bool:
    """Return whether this process cannot use the device any more: CUDA errors stick to their context."""
    if not isinstance(error, RuntimeError) or is_out_of_memory(error):
        return False
    accelerator_error = getattr(torch, "AcceleratorError", None)  # since torch 2.8
    return "CUDA error" in str(error) or (
        accelerator_error is not None and isinstance(error, accelerator_error)
    )


def free_cached_memory(device: torch.device) -> None:
    """Release the memory that torch keeps for later, after the device ran out of it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
