"""A child that times our encoder, with the environment of the scoring process."""

from __future__ import annotations

import time
from pathlib import Path
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode

from maclip_daemon.iqa import fused_convolutions, metrics
from maclip_daemon.iqa.encoder import Encoder, Precision
from maclip_daemon.iqa.models import catalogue, loading
from maclip_daemon.processes import child_server
from maclip_daemon.processes.frames import Header
from maclip_daemon.scoring.device import be_exact, choose_device
from maclip_daemon.scoring.parallel_batches import compute

VIEW = (1, 3, 224, 224)


def load(model: str, device: torch.device, precision: Precision) -> Encoder:
    """Return the encoder as the scoring process loads it."""
    resolved = catalogue.resolve(model, Path())
    return loading.load(resolved, metrics.maclip(), Path(), device=device, precision=precision).encoder


def gflop_a_view(model: str) -> float:
    """Count the GFLOP of one view, in the tower before its steps are fused."""
    with mock.patch.object(fused_convolutions, "is_available", return_value=False):
        plain = load(model, torch.device("cpu"), "fp32")
    with FlopCounterMode(display=False) as counter:
        plain.encode(torch.zeros(VIEW))
    return counter.get_total_flops() / 1e9


def main() -> None:
    """Serve `{"model", "precision", "device", "views"}`, answered with seconds, and `{"flop": model}`.

    The views are computed as `scoring.engine` computes them: on a processor, a batch a thread, side by side.
    """
    encoders: dict[tuple[str, str, str], Encoder] = {}

    def handle(header: Header, _payload: bytes) -> tuple[Header, bytes]:
        if "flop" in header:
            return {"gflop": gflop_a_view(header["flop"])}, b""
        key = header["model"], header["device"], header["precision"]
        if key not in encoders:
            device = choose_device(header["device"])
            be_exact(device)
            encoders[key] = load(header["model"], device, header["precision"])
        encoder = encoders[key]
        views = torch.randn(header["views"], *VIEW[1:]).contiguous(memory_format=torch.channels_last)
        batches = views.chunk(torch.get_num_threads() if encoder.device.type == "cpu" else 1)
        start = time.perf_counter()
        for _ in compute(encoder.encode, batches, len(batches), encoder.device):
            pass
        return {"seconds": time.perf_counter() - start}, b""

    child_server.serve(handle)


if __name__ == "__main__":
    main()
