"""Score cache: all computed scores of an evaluation, in a file that survives interruption.

Each line is a JSON object: a photo's scores on one model under one protocol. A line is written at once and
flushed; a line that was cut off is ignored, and its photo is scored again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from maclip_daemon.errors import EnvironmentUnfit


@dataclass(frozen=True)
class ImageVersion:
    """The signature of an image file; a changed file is another version."""

    path: str
    size: int
    """Bytes."""
    mtime_ns: int
    """Nanoseconds since 1970."""


@dataclass(frozen=True)
class ScoreKey:
    """Image, metric, model and protocol of a score."""

    image: ImageVersion
    metric: str
    """Name and digest of the parameters."""
    model: str
    protocol: str


def version_of(path: Path) -> ImageVersion:
    """Return the version of an image file. Raises `OSError` when it is gone."""
    status = path.stat()
    return ImageVersion(os.fspath(path.absolute()), status.st_size, status.st_mtime_ns)


class ScoreCache:
    """The scores of one report folder; a context manager that keeps its file open for appending.

    Without a file the scores are kept in memory only. `conditions`: precision and EXIF rotation; scores of
    other conditions stay in the file but are not used.
    """

    def __init__(self, file: Path | None = None, conditions: str = "") -> None:
        self._conditions = conditions
        self._scores: dict[ScoreKey, float] = {}
        self._stream: IO[str] | None = None
        if file is None:
            return
        self._scores.update(_read(file, conditions))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._stream = file.open("a", encoding="utf-8")
            if _is_cut_off(file):
                self._stream.write("\n")
        except OSError as error:
            raise EnvironmentUnfit(
                f"{file} cannot be written: {error.strerror}. Choose another folder with --report."
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stream is not None:
            self._stream.close()

    def get(self, key: ScoreKey) -> float | None:
        """Return the score, or None when it is not computed."""
        return self._scores.get(key)

    def add(self, image: ImageVersion, model: str, protocol: str, scores: Mapping[str, float]) -> None:
        """Store the scores of one image, by metric key, and write them to the file."""
        for metric, score in scores.items():
            self._scores[ScoreKey(image, metric, model, protocol)] = score
        if self._stream is None:
            return
        line = {
            "image": image.path,
            "size": image.size,
            "mtime_ns": image.mtime_ns,
            "model": model,
            "protocol": protocol,
            "conditions": self._conditions,
            "scores": dict(scores),
        }
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


def _read(file: Path, conditions: str) -> Iterable[tuple[ScoreKey, float]]:
    if not file.exists():
        return
    with file.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            try:
                entry: dict[str, Any] = json.loads(line)
                image = ImageVersion(entry["image"], int(entry["size"]), int(entry["mtime_ns"]))
                scored_by = (str(entry["model"]), str(entry["protocol"]))
                same_conditions = entry["conditions"] == conditions
                found = [(str(metric), float(score)) for metric, score in entry["scores"].items()]
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # cut off when the program was killed, or foreign: scored again
            for metric, score in found if same_conditions else ():
                yield ScoreKey(image, metric, *scored_by), score


def _is_cut_off(file: Path) -> bool:
    with file.open("rb") as stream:
        if stream.seek(0, os.SEEK_END) == 0:
            return False
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
