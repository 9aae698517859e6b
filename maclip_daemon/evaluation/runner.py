"""The run: rated images → scores of every candidate, each view encoded once.

An image is decoded once for each protocol. The features of its views are shared by all metrics and ablations
that use the same views. Scores go to the cache as soon as they exist, so that an interrupted run resumes.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from maclip_daemon.errors import EnvironmentUnfit, MaclipError, NoSpace, Poison
from maclip_daemon.evaluation.candidates import Candidate
from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.evaluation.score_cache import ImageVersion, ScoreCache, ScoreKey, version_of
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.protocols import Protocol
from maclip_daemon.iqa.view_grid import ViewKind

if TYPE_CHECKING:
    from maclip_daemon.evaluation.feature_model import FeatureModel

Decode = Callable[[Path, Protocol], PhotoPixels]
"""Path and protocol → pixels at the protocol's size."""

_PHOTOS_AT_ONCE = 8  # share encoder batches; twice as many are in memory, 72 MB each at 24 megapixels
_DECODING_THREADS = 4  # ahead of the encoder by one round


@dataclass(frozen=True)
class FailedImage:
    """An image that could not be scored."""

    path: Path
    reason: str


@dataclass(frozen=True)
class ScoreTable:
    """The scores of a run: a column for each candidate."""

    images: tuple[RatedImage, ...]
    by_candidate: Mapping[Candidate, npt.NDArray[np.float64]]
    """Scores [N] in the order of the images; NaN where one failed."""
    failures: tuple[FailedImage, ...]
    computed: int
    """Scores that this run computed; the others came from the cache."""


@dataclass(frozen=True)
class _Task:
    image: RatedImage
    version: ImageVersion
    missing: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Decoded:
    task: _Task
    pixels: Mapping[Protocol, PhotoPixels]
    """At the size of each protocol."""


def run(
    images: Sequence[RatedImage],
    candidates: Sequence[Candidate],
    models: Mapping[str, FeatureModel],
    decode: Decode,
    cache: ScoreCache,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> ScoreTable:
    """Return the score of every image with every candidate.

    `models`: by identity, all that the candidates name. `decode` raises a `MaclipError` for an image that
    cannot be decoded, which is then listed and left out; `EnvironmentUnfit` and `NoSpace` end the run.
    `on_progress` gets the number of images that are done, cached ones included.
    """
    failures: dict[Path, str] = {}
    tasks = list(_open_tasks(images, candidates, cache, failures))
    done = len(images) - len(tasks)
    on_progress(done)
    computed = 0
    for decoded in _decode_ahead(tasks, decode, failures):
        for model in models.values():
            computed += _score_round(decoded, model, cache, failures)
        done += min(_PHOTOS_AT_ONCE, len(images) - done)
        on_progress(done)
    by_candidate = {
        candidate: np.array([_cached(image, candidate, cache) for image in images], dtype=np.float64)
        for candidate in candidates
    }
    listed = tuple(FailedImage(path, reason) for path, reason in failures.items())
    return ScoreTable(tuple(images), by_candidate, listed, computed)


def _open_tasks(
    images: Sequence[RatedImage],
    candidates: Sequence[Candidate],
    cache: ScoreCache,
    failures: dict[Path, str],
) -> Iterator[_Task]:
    for image in images:
        try:
            version = version_of(image.path)
        except OSError as error:
            failures[image.path] = f"cannot be read: {error.strerror}"
            continue
        missing = tuple(candidate for candidate in candidates if cache.get(_key(version, candidate)) is None)
        if missing:
            yield _Task(image, version, missing)


def _decode_ahead(
    tasks: Sequence[_Task], decode: Decode, failures: dict[Path, str]
) -> Iterator[list[_Decoded]]:
    """Yield rounds of decoded photos; the next round decodes while the present one is scored."""
    rounds = [tasks[first : first + _PHOTOS_AT_ONCE] for first in range(0, len(tasks), _PHOTOS_AT_ONCE)]
    with concurrent.futures.ThreadPoolExecutor(_DECODING_THREADS, "decode") as pool:
        ahead: list[concurrent.futures.Future[_Decoded | FailedImage]] = []
        for present in (*rounds, []):
            ready, ahead = ahead, [pool.submit(_decode, task, decode) for task in present]
            results = [future.result() for future in ready]
            failures.update(
                (result.path, result.reason) for result in results if isinstance(result, FailedImage)
            )
            if results:
                yield [result for result in results if isinstance(result, _Decoded)]


def _decode(task: _Task, decode: Decode) -> _Decoded | FailedImage:
    path = task.image.path
    try:
        protocols = {candidate.protocol for candidate in task.missing}
        return _Decoded(task, {protocol: decode(path, protocol) for protocol in protocols})
    except (EnvironmentUnfit, NoSpace):
        raise  # no image's fault
    except MaclipError as error:
        return FailedImage(path, str(error).removeprefix(f"{path}: "))


def _score_round(
    decoded: Sequence[_Decoded], model: FeatureModel, cache: ScoreCache, failures: dict[Path, str]
) -> int:
    """Compute one model's missing scores for the photos of a round; return how many."""
    kinds = {
        (candidate.protocol, candidate.judgement.views)
        for photo in decoded
        for candidate in photo.task.missing
        if candidate.model == model.identity
    }
    return sum(
        _score_views(decoded, model, protocol, views, cache, failures)
        for protocol, views in sorted(kinds, key=lambda kind: (kind[0].name, kind[1]))
    )


def _score_views(
    decoded: Sequence[_Decoded],
    model: FeatureModel,
    protocol: Protocol,
    views: ViewKind,
    cache: ScoreCache,
    failures: dict[Path, str],
) -> int:
    computed = 0
    wanted = [(photo, _wanted(photo.task, model.identity, protocol, views)) for photo in decoded]
    wanted = [(photo, candidates) for photo, candidates in wanted if candidates]
    all_features = model.features(
        [photo.pixels[protocol] for photo, _ in wanted], views, centred=protocol.is_centred
    )
    for (photo, candidates), features in zip(wanted, all_features, strict=True):
        scores = {}
        for candidate in candidates:
            try:
                scores[candidate.judgement.key] = model.score(
                    candidate.judgement, features, photo.pixels[protocol], protocol
                )
            except Poison as error:
                failures[photo.task.image.path] = str(error)
        cache.add(photo.task.version, model.identity, protocol.name, scores)
        computed += len(scores)
    return computed


def _wanted(task: _Task, identity: str, protocol: Protocol, views: ViewKind) -> list[Candidate]:
    return [
        candidate
        for candidate in task.missing
        if (candidate.model, candidate.protocol, candidate.judgement.views) == (identity, protocol, views)
    ]


def _key(version: ImageVersion, candidate: Candidate) -> ScoreKey:
    return ScoreKey(version, candidate.judgement.key, candidate.model, candidate.protocol.name)


def _cached(image: RatedImage, candidate: Candidate, cache: ScoreCache) -> float:
    try:
        score = cache.get(_key(version_of(image.path), candidate))
    except OSError:
        score = None
    return float("nan") if score is None else score
