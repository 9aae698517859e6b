"""The parent's side of the scoring process; the parent never loads torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from maclip_daemon import errors
from maclip_daemon.errors import EnvironmentUnfit, MaclipError, ModelUnavailable
from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.models import catalogue, installed_models
from maclip_daemon.iqa.models.catalogue import ResolvedModel
from maclip_daemon.iqa.models.installed_models import ModelSignature
from maclip_daemon.iqa.photo_score import PhotoScore, ScoringConfig
from maclip_daemon.iqa.view_size import VIEW_SIZE
from maclip_daemon.processes.child import Child
from maclip_daemon.scoring.pixel_block import PixelBlock
from maclip_daemon.settings import ScoringSettings

__all__ = ["PixelBlock", "ScorerClient"]

ENVIRONMENT = {
    # OpenMP's threads spin while they wait; beside busy decoders that costs four times the processor time.
    "OMP_WAIT_POLICY": "PASSIVE",
    # glibc returns every block above 32 MiB to the system at once; the next batch then waits for its pages
    # to be zeroed again, up to two fifths of the time of a view. The process lives for minutes.
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(4 << 30),
    # Arenas other than the first hold 64 MiB at most: the threads' larger blocks would come fresh each time.
    "MALLOC_ARENA_MAX": "1",
}
_SIDE = VIEW_SIZE
_PROBE = PixelBlock(bytes([128]) * (_SIDE * _SIDE * 3), None, _SIDE, _SIDE)
_REQUEST_BYTES = 256 << 20  # pixels in one request; far below the pipe's limit of 2 GiB


class ScorerClient:
    """Starts the scoring process when there is work and lets it end when there is none.

    Not thread-safe: one thread owns it.
    """

    def __init__(
        self,
        settings: ScoringSettings,
        data_dir: Path,
        *,
        module: str = "maclip_daemon.scoring.scoring_process",
    ) -> None:
        self._settings = settings
        self._data_dir = data_dir
        self._module = module
        self._child: Child | None = None
        self._model: ResolvedModel | None = None
        self._model_sha256: str | None = None
        self._model_signature: ModelSignature | None = None
        self._used = False
        self._idle_since: float | None = None

    @property
    def pid(self) -> int | None:
        """The scoring process's id, or None while none runs."""
        return self._child.pid if self._child else None

    def identity(self) -> ScoringConfig:
        """Return metric, model and protocol of this client's scores, without torch; resolve `auto` now.

        Raises `UsageError` for an unknown name, `ModelUnavailable` for weights that are not installed.
        """
        metric = metrics.parse(self._settings.metric)
        wanted = self._settings.protocol
        if wanted != "auto":
            protocols.parse(wanted)  # unknown names are refused before weights are searched
        model = catalogue.resolve(self._settings.model, self._data_dir)
        protocol = protocols.parse(self._protocol(model))
        if self._model is not None and model != self._model:
            self.close()
        self._model = model
        if model.path is not None:
            self._model_signature = installed_models.signature_of(model.path)
            self._model_sha256 = installed_models.sha256_of(model.path)
        edges = model.edges.get(metric.name, ()) if protocol.name == model.protocol else ()
        return ScoringConfig(metric.name, model.name, protocol.name, edges)

    def score(self, blocks: Sequence[PixelBlock]) -> list[PhotoScore | MaclipError]:
        """Return the score of each photo, or its error, in order.

        Raises for all photos together: `ModelUnavailable`, `EnvironmentUnfit`, `ChildDied`, `ChildTimedOut`.
        """
        if self._model is None:
            self.identity()
        if self._model_changed():
            self._check_model()
        answers: list[PhotoScore | MaclipError] = []
        for request in _requests(blocks, self._settings.batch_photos):
            answers += self._request(request)
        if self._model_changed():
            self._check_model()
            raise ModelUnavailable("The model file changed during scoring. Its photos are scored again.")
        return answers

    def close_if_idle(self, now: float) -> None:
        """End the process after `idle_exit_s` without work; `now` is a monotonic clock in seconds."""
        if self._used or self._idle_since is None:
            self._used, self._idle_since = False, now
        elif now - self._idle_since >= self._settings.idle_exit_s:
            self.close()

    def close(self) -> None:
        """End the process, if it runs; the next `score` starts a new one."""
        if self._child is not None:
            self._child.close()
        self._child = None
        self._idle_since = None

    def _model_changed(self) -> bool:
        """Return whether the weights' file differs from that of `identity`, without reading it."""
        path = self._model.path if self._model else None
        return path is not None and installed_models.signature_of(path) != self._model_signature

    def _check_model(self) -> None:
        """End the process; raise `ModelUnavailable` when the weights are gone or replaced.

        Weights that were put back are loaded by a new process, because the old one may hold others.
        """
        self.close()
        path = self._model.path if self._model else None
        assert path is not None
        signature = installed_models.signature_of(path)
        if signature is None or installed_models.sha256_of(path) != self._model_sha256:
            state = "is gone" if signature is None else "was replaced by another one"
            raise ModelUnavailable(f"The model file {path} {state}. Put it back, or restart maclip.")
        self._model_signature = signature

    def _request(self, blocks: Sequence[PixelBlock]) -> list[PhotoScore | MaclipError]:
        answers: list[PhotoScore | MaclipError | None] = [None] * len(blocks)
        sent: list[int] = []
        for index, block in enumerate(blocks):
            try:
                block.check()
                sent.append(index)
            except MaclipError as error:
                answers[index] = error
        if sent:
            self._used = True
            child = self._running_child()
            if not child.running:
                self._load_model(child)
            reply = child.request(
                {"photos": [_describe(blocks[index]) for index in sent]},
                b"".join(blocks[index].pixels or b"" for index in sent),
                timeout_s=self._settings.timeout_s,
            )
            for index, answer in zip(sent, reply.header["scores"], strict=True):
                answers[index] = _read_answer(answer, blocks[index])
        return [answer for answer in answers if answer is not None]

    def _load_model(self, child: Child) -> None:
        """Make a new process load the model and score a grey square: an error here is no photo's fault."""
        try:
            child.request(
                {"photos": [_describe(_PROBE)]}, _PROBE.pixels or b"", timeout_s=self._settings.timeout_s
            )
        except MaclipError as error:
            self.close()  # its memory on the device must be free for the next process
            if isinstance(error, EnvironmentUnfit):
                raise
            raise EnvironmentUnfit(
                f"The model cannot be used: {error}. Run `maclip doctor` to check this machine."
            ) from None

    def _protocol(self, model: ResolvedModel) -> str:
        wanted = self._settings.protocol
        return model.protocol if wanted == "auto" else wanted

    def _running_child(self) -> Child:
        if self._child is None:
            assert self._model is not None
            configuration = {
                "model": self._model.name,
                "protocol": self._model.protocol,
                "judged_at": self._protocol(self._model),
                "path": os.fspath(self._model.path.absolute()) if self._model.path else None,
                "open_clip": self._model.open_clip,
                "metric": self._settings.metric,
                "device": self._settings.device,
                "precision": self._settings.precision,
                "threads": self._settings.threads,
                "batch_photos": self._settings.batch_photos,
                "gpu_memory_mib": self._settings.gpu_memory_mib,
                "data_dir": os.fspath(self._data_dir),
            }
            self._child = Child(self._module, configuration, environment=ENVIRONMENT)
        return self._child


def _requests(blocks: Sequence[PixelBlock], most: int) -> list[list[PixelBlock]]:
    """Return the blocks as requests of at most `most` photos and 256 MiB."""
    requests: list[list[PixelBlock]] = []
    room = 0
    for block in blocks:
        inline = block.size if block.spooled is None else 0
        if not requests or len(requests[-1]) == most or inline > room:
            requests.append([])
            room = _REQUEST_BYTES
        requests[-1].append(block)
        room -= inline
    return requests


def _describe(block: PixelBlock) -> dict[str, object]:
    path = os.fspath(block.spooled) if block.pixels is None and block.spooled else None
    return {"width": block.width, "height": block.height, "tiles": block.tiles, "path": path}


def _read_answer(answer: dict[str, object], block: PixelBlock) -> PhotoScore | MaclipError:
    described = answer.get("error")
    if not isinstance(described, dict):
        return PhotoScore.from_json(answer)
    kind = getattr(errors, str(described["kind"]), errors.Transient)
    error: MaclipError = kind(f"{block.name}: {described['message']}" if block.name else described["message"])
    return error
