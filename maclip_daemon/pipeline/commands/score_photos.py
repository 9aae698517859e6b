"""Scoring on demand (`maclip score`): the daemon's decoders and scorer, without the library."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from maclip_daemon.errors import MaclipError, UsageError
from maclip_daemon.files.paths import expanded
from maclip_daemon.folders.exclusion import Exclusion
from maclip_daemon.folders.scanner import scan
from maclip_daemon.iqa import protocols
from maclip_daemon.iqa.photo_pixels import byte_count
from maclip_daemon.iqa.photo_score import PhotoScore, ScoringConfig
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.photos.decoder_pool import DecoderPool
from maclip_daemon.photos.formats import is_photo
from maclip_daemon.pipeline import worker_count
from maclip_daemon.scoring.one_by_one import scores_or_errors
from maclip_daemon.scoring.scorer_client import PixelBlock, ScorerClient
from maclip_daemon.settings import Settings

_TYPICAL_SIZE = (6000, 4000)  # pixels of a photo whose size is not known yet


def collect(paths: Sequence[Path], settings: Settings) -> list[Path]:
    """Return the photos to score: files as given, and all that is not excluded below folders.

    Raises `UsageError` for a path that does not exist, or a file whose name is not a photo's.
    """
    exclusion = Exclusion(settings.folders.exclude)
    found: list[Path] = []
    for given in paths:
        path = expanded(given)
        if path.is_dir():
            for listing in scan(os.path.abspath(path), exclusion, is_photo):
                found += (Path(file.path) for file in listing.files)
        elif not os.path.lexists(path):
            raise UsageError(f"{given} does not exist.")
        elif not is_photo(path.name):
            raise UsageError(f"{given} is neither a folder nor a photo that maclip can read.")
        else:
            found.append(Path(os.path.abspath(path)))
    return list(dict.fromkeys(found))


def score(files: Sequence[Path], settings: Settings) -> Iterator[dict[str, Any]]:
    """Yield one object for each photo, in order: the contract of `maclip score --json`."""
    client = ScorerClient(settings.scoring, settings.data_dir)
    identity = client.identity()
    count = worker_count.decoders(settings.decoding, worker_count.cores())
    with DecoderPool(settings.decoding, count) as pool, contextlib.closing(client):
        remaining = iter(files)
        size = batch_photos(settings, identity.protocol)

        def decode(path: Path) -> tuple[Path, concurrent.futures.Future[DecodedPhoto]]:
            # The given path may lead through links; the decoder follows none.
            return path, pool.submit(path.parent.resolve() / path.name, identity.protocol)

        # One batch is decoded while the one before it is scored.
        ahead = [decode(path) for path in islice(remaining, size)]
        while ahead:
            batch, ahead = ahead, [decode(path) for path in islice(remaining, size)]
            yield from _score_batch(batch, client, identity)


def batch_photos(settings: Settings, protocol: str) -> int:
    """Return how many photos to score at a time, so that two batches fit into `decoding.look_ahead_mb`.

    At `native` one photo alone has hundreds of views, which fill the encoder's batches.
    """
    parsed = protocols.parse(protocol)
    size = byte_count(*parsed.target_size(*_TYPICAL_SIZE), parsed.tiles)
    room = (settings.decoding.look_ahead_mb << 20) // (2 * size)
    return max(1, min(settings.scoring.batch_photos, room))


def _score_batch(
    batch: Sequence[tuple[Path, concurrent.futures.Future[DecodedPhoto]]],
    client: ScorerClient,
    identity: ScoringConfig,
) -> Iterator[dict[str, Any]]:
    decoded = [(path, _decoded(future)) for path, future in batch]
    photos = [photo for _, photo in decoded if isinstance(photo, DecodedPhoto)]
    blocks = [
        PixelBlock(photo.pixels, photo.spooled, photo.width, photo.height, tiles=photo.tiles)
        for photo in photos
    ]
    results = iter(scores_or_errors(client, blocks))
    for photo in photos:
        photo.discard()
    for path, outcome in decoded:
        result = outcome if isinstance(outcome, MaclipError) else next(results)
        yield _row(path, result, identity)


def _decoded(future: concurrent.futures.Future[DecodedPhoto]) -> DecodedPhoto | MaclipError:
    try:
        return future.result()
    except MaclipError as error:
        return error


def _row(path: Path, result: PhotoScore | MaclipError, identity: ScoringConfig) -> dict[str, Any]:
    row: dict[str, Any] = {
        "path": str(path),
        "score": None,
        "overall": None,
        "detail": None,
        "q_sim": None,
        "q_mag": None,
        "views": None,
        "attributes": {},
        "metric": identity.metric,
        "model": identity.model,
        "protocol": identity.protocol,
        "error": None,
    }
    if isinstance(result, MaclipError):
        text = str(result)
        row["error"] = text if str(path) in text else f"{path}: {text}"
    else:
        row |= {"score": result.score, "overall": result.overall, "detail": result.detail}
        row |= {"q_sim": result.q_sim, "q_mag": result.q_mag, "views": result.views}
        row["attributes"] = result.attributes
    return row
