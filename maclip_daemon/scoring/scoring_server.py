"""What the scoring process serves: it owns torch and the device.

A request is `{"photos": [{"width", "height", "tiles", "path" or nothing}, …]}` with the pixels of the photos
without a path as payload, one after the other, each photo's tiles after it. The reply is
`{"scores": [score or {"error": …}, …]}`.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, Poison, Transient
from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.models import loading
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.photo_pixels import PhotoPixels, byte_count, split
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.processes.frames import Header
from maclip_daemon.scoring.batch_size import search_for
from maclip_daemon.scoring.device import (
    be_exact,
    choose_device,
    choose_precision,
    is_device_lost,
    limit_memory,
)
from maclip_daemon.scoring.engine import Engine

DEVICE_LOST_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


def build_engine(configuration: Header) -> Engine:
    """Return the engine of the parent's model and metric.

    Raises `ModelUnavailable`, `EnvironmentUnfit`, `ConfigurationError`.
    """
    if configuration["threads"]:
        torch.set_num_threads(configuration["threads"])
    device = choose_device(configuration["device"])
    precision = choose_precision(configuration["precision"], device)
    be_exact(device)
    limit_memory(device, configuration["gpu_memory_mib"])
    model = ResolvedModel(
        name=configuration["model"],
        protocol=configuration["protocol"],
        path=None if configuration["path"] is None else Path(configuration["path"]),
        open_clip=None if configuration["open_clip"] is None else tuple(configuration["open_clip"]),
    )
    metric = metrics.parse(configuration["metric"])
    data_dir = Path(configuration["data_dir"])
    return Engine(
        loading.load(model, metric, data_dir, device=device, precision=precision),
        metric,
        protocol=protocols.parse(configuration["judged_at"]),
        batch=search_for(data_dir, model.name, device, precision, configuration["batch_photos"]),
        exact=lambda: loading.load(model, metric, data_dir, device=device, precision="fp32"),
    )


class ScoringServer:
    """Answers requests; the first one loads the model."""

    def __init__(self, configuration: Header) -> None:
        self._configuration = configuration
        self._engine: Engine | None = None

    def __call__(self, header: Header, payload: bytes) -> tuple[Header, bytes]:
        """Return the reply to one request; end the process when the device is lost."""
        try:
            if self._engine is None:
                self._engine = self._loaded()
            return {"scores": score_request(self._engine, header["photos"], payload)}, b""
        except RuntimeError as error:
            if is_device_lost(error):
                _end_at_once(error)
            raise

    def _loaded(self) -> Engine:
        try:
            return build_engine(self._configuration)
        except (MaclipError, RuntimeError):
            raise
        except Exception as error:
            # No photo's fault: scoring pauses and no attempt is counted.
            traceback.print_exc()
            raise EnvironmentUnfit(
                f"The model {self._configuration['model']} cannot be loaded "
                f"({type(error).__name__}: {error}). Run `maclip doctor` to check this machine."
            ) from error


def score_request(engine: Engine, photos: list[dict[str, Any]], payload: bytes) -> list[dict[str, Any]]:
    """Return a score or an error for each photo."""
    answers: list[PhotoScore | MaclipError | None] = [None] * len(photos)
    readable: list[tuple[int, PhotoPixels]] = []
    pixels_in = memoryview(bytearray(payload))  # torch wants memory that it could write to
    offset = 0
    for index, photo in enumerate(photos):
        sizes = photo["width"], photo["height"], photo["tiles"]
        try:
            if photo.get("path") is None:
                length = byte_count(*sizes)
                values = np.frombuffer(pixels_in[offset : offset + length], np.uint8)
                offset += length
            else:
                # Copy on write: pages come and go with the file, and the file stays as it is.
                values = np.memmap(photo["path"], np.uint8, "c")
            readable.append((index, split(values, *sizes)))
        except ValueError:
            answers[index] = Poison("Its decoded pixels are incomplete.")
        except OSError as error:
            answers[index] = Transient(f"Its spooled pixels cannot be read: {error.strerror}.")
    scores = engine.score([pixels for _, pixels in readable])
    for (index, _), score in zip(readable, scores, strict=True):
        answers[index] = score
    return [_as_json(answer) for answer in answers]


def _as_json(answer: PhotoScore | MaclipError | None) -> dict[str, Any]:
    assert answer is not None
    if isinstance(answer, PhotoScore):
        return answer.as_json()
    return {"error": {"kind": type(answer).__name__, "message": str(answer)}}


def _end_at_once(error: RuntimeError) -> NoReturn:
    """End this process: a CUDA error sticks to it, and only a new one can use the device again."""
    traceback.print_exc()
    print(f"the device is lost: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
    os._exit(DEVICE_LOST_EXIT_CODE)
