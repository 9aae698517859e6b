"""The library interface: score photos from Python."""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from PIL import Image

from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import catalogue, loading
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.iqa.tile_cutting import cut_tiles, stacked
from maclip_daemon.photos.colour.conversion import conversion_of
from maclip_daemon.photos.decode_errors import poison_on_error
from maclip_daemon.photos.decoder_pool import DecoderPool, default_count
from maclip_daemon.photos.exif import exif_of, orientation_of
from maclip_daemon.photos.upright_picture import as_seen, in_srgb, to_rgb, upright
from maclip_daemon.scoring.device import be_exact, choose_device, choose_precision
from maclip_daemon.scoring.engine import Engine
from maclip_daemon.settings import DecodingSettings, default_data_dir

ImageOrPath = Image.Image | str | os.PathLike[str]


class Scorer:
    """Scores photos as the daemon does: the same formats, sizes, orientation and limits.

    Files are decoded in child processes with limits of memory and time, not in this process: a damaged or
    hostile photo can crash its reader or fill the memory, and then costs one `MaclipError`, not your program.
    The processes start with the first path, and end with `close`, with the `Scorer`, or with the program.
    The model runs in this process.

    >>> with Scorer(model="file:checkpoint.pt", protocol="spaq448") as scorer:
    ...     scorer.score("IMG_1.heic").score
    """

    def __init__(
        self,
        model: str = "auto",
        metric: str | Metric = "maclip",
        protocol: str = "auto",
        *,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        decoding: DecodingSettings | None = None,
        data_dir: Path | None = None,
    ) -> None:
        """Load the model. `metric`: a name, or a `Metric` with parameters of your own.

        `decoding`: orientation, colours, reduction and limits; None: the daemon's defaults. For the authors'
        numbers, `DecodingSettings(exif_rotation=False, colour_conversion=False, two_step_reduction=False)`.
        `data_dir`: where models are installed. The others are as in the settings. Raises `UsageError` for an
        unknown name, `ModelUnavailable` for weights that are not installed, `EnvironmentUnfit` for a missing
        device.
        """
        data_dir = data_dir or default_data_dir()
        resolved = catalogue.resolve(model, data_dir)
        chosen = metrics.parse(metric) if isinstance(metric, str) else metric
        placed = choose_device(device)
        be_exact(placed)
        arithmetic = choose_precision(precision, placed)
        self.model = resolved.name
        """The weights, as a stored score would name them."""
        self.metric = chosen.name
        """The metric's name."""
        self.protocol = protocols.parse(resolved.protocol if protocol == "auto" else protocol)
        """The size at which photos are scored."""
        self._decoding = decoding or DecodingSettings()
        self._pool: DecoderPool | None = None
        self._engine = Engine(
            loading.load(resolved, chosen, data_dir, device=placed, precision=arithmetic),
            chosen,
            protocol=self.protocol,
            exact=lambda: loading.load(resolved, chosen, data_dir, device=placed, precision="fp32"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def score(self, image: ImageOrPath) -> PhotoScore:
        """Return the score of one photo: the path of a file that the daemon reads, or a Pillow image.

        A Pillow image is turned upright and resized as a PNG would be. Raises `Poison` for a damaged file or
        one that is no photo, another `MaclipError` for one that cannot be read; each names the file.
        """
        return self.score_many([image])[0]

    def score_many(self, images: Sequence[ImageOrPath]) -> list[PhotoScore]:
        """Return the scores of several photos, in order; their views share batches.

        All their pixels are in memory together. Raises the first error in the order of the photos.
        """
        protocol = self.protocol.name
        queued = [
            image
            if isinstance(image, Image.Image)
            else self._decoders().submit(Path(image), protocol, follow_link=True)
            for image in images
        ]
        scores = []
        pixels = [
            self._pixels(each) if isinstance(each, Image.Image) else each.result().take_photo()
            for each in queued
        ]
        for answer in self._engine.score(pixels):
            if not isinstance(answer, PhotoScore):
                raise answer
            scores.append(answer)
        return scores

    def close(self) -> None:
        """End the decoder processes; the next path starts new ones."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _decoders(self) -> DecoderPool:
        if self._pool is None:
            self._pool = DecoderPool(self._decoding, default_count(self._decoding))
            weakref.finalize(self, self._pool.close)
        return self._pool

    def _pixels(self, image: Image.Image) -> PhotoPixels:
        with poison_on_error("image"):
            image.load()  # a file that Pillow only opened is read now
            exif = exif_of(image)
            orientation = orientation_of(exif) if self._decoding.exif_rotation else None
            if self._decoding.colour_conversion:
                colours = conversion_of(image, exif)
                picture = upright(in_srgb(as_seen(image, colours).copy(), colours), orientation)
            else:
                picture = upright(to_rgb(image), orientation)
        grid = self.protocol.tile_grid(*picture.size)
        tiles = None if grid is None else cut_tiles(picture, grid)
        two_steps = self._decoding.two_step_reduction or self.protocol.tiles > 0
        return PhotoPixels(
            np.array(self.protocol.resize(picture, two_steps=two_steps)),
            None if tiles is None else stacked(tiles),
        )
