"""Decoded photos on their way from a decoder to a model, as a table in Ray's object store."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from ray import cloudpickle

from maclip_daemon.archive.rows import PhotoSource
from maclip_daemon.errors import MaclipError
from maclip_daemon.photos.decoder import DecodedPhoto
from maclip_daemon.scoring.pixel_block import PixelBlock

_SCHEMA = pa.schema({"described": pa.binary(), "pixels": pa.large_binary()})


@dataclass(frozen=True)
class Decoding:
    """What became of one photo in a decoder."""

    source: PhotoSource
    outcome: DecodedPhoto | MaclipError
    attempts: int = 1
    read_from: str = ""
    """The local copy that was read, which the error may name."""


def packed(decodings: Sequence[Decoding]) -> pa.Table:
    """Return decoded photos as a table; spooled pixels are read into it and removed."""
    described, pixels = [], []
    for each in decodings:
        outcome = each.outcome
        if isinstance(outcome, DecodedPhoto):
            pixels.append(outcome.pixels if outcome.spooled is None else outcome.spooled.read_bytes())
            outcome.discard()
            each = dataclasses.replace(each, outcome=dataclasses.replace(outcome, pixels=b"", spooled=None))
        else:
            pixels.append(None)
        described.append(cloudpickle.dumps(each))
    return pa.table({"described": described, "pixels": pixels}, schema=_SCHEMA)


def unpacked(table: pa.Table) -> list[tuple[Decoding, PixelBlock | None]]:
    """Return the photos of a table, those that were decoded with their pixels."""
    found: list[tuple[Decoding, PixelBlock | None]] = []
    for described, pixels in zip(table["described"], table["pixels"], strict=True):
        decoding: Decoding = cloudpickle.loads(described.as_py())
        photo = decoding.outcome
        block = None
        if isinstance(photo, DecodedPhoto):
            block = PixelBlock(pixels.as_py(), None, photo.width, photo.height, tiles=photo.tiles)
        found.append((decoding, block))
    return found
