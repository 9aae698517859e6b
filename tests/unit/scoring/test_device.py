from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maclip_daemon.errors import ConfigurationError, EnvironmentUnfit
from maclip_daemon.scoring.device import (
    choose_device,
    choose_precision,
    is_device_lost,
    is_out_of_memory,
    limit_memory,
    read_cpu_flags,
    upload,
)

CPU = torch.device("cpu")


def test_auto_finds_a_device_that_is_here() -> None:
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize("name", ["", "gpu", "meta", "cuda:x", "xpu:0"])
def test_an_unknown_device_name_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no device {name!r}"):
        choose_device(name)


def test_a_device_that_is_not_here_is_named() -> None:
    with pytest.raises(EnvironmentUnfit, match="cuda:99"):
        choose_device("cuda:99")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [({"avx2"}, "fp32"), ({"avx512f", "avx512_bf16"}, "bf16"), ({"amx_bf16"}, "bf16"), (set(), "fp32")],
)
def test_a_processor_gets_bf16_only_when_it_computes_in_it(flags: set[str], precision: str) -> None:
    assert choose_precision("auto", CPU, frozenset(flags)) == precision
    assert choose_precision("fp32", CPU, frozenset(flags)) == "fp32"


def test_apple_gets_what_was_measured() -> None:
    assert choose_precision("auto", torch.device("mps")) == "fp32"


def test_cpu_flags_are_read_as_linux_names_them(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 amx_bf16\n\nprocessor\t: 1\n")
    assert read_cpu_flags(tmp_path / "cpuinfo") == {"fpu", "avx2", "amx_bf16"}
    assert read_cpu_flags(tmp_path / "absent") == frozenset()


def test_only_an_error_of_the_device_itself_means_that_it_is_lost() -> None:
    assert is_device_lost(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_device_lost(
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate")
    )
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
    assert not is_device_lost(torch.OutOfMemoryError("CUDA out of memory"))
    assert not is_device_lost(ValueError("CUDA error"))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_the_limit_of_gpu_memory_is_a_share_of_the_devices_and_no_matter_of_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[tuple[float, torch.device]] = []
    total = SimpleNamespace(total_memory=8 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: total)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: given.append((share, device))
    )
    cuda = torch.device("cuda:0")
    limit_memory(cuda, 2048)
    limit_memory(cuda, 99_999)
    limit_memory(cuda, 0)
    limit_memory(CPU, 2048)
    assert given == [(0.25, cuda), (1.0, cuda)]


def test_pixels_reach_the_device_as_they_are() -> None:
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    assert upload(pixels, CPU).numpy().tolist() == pixels.tolist()
