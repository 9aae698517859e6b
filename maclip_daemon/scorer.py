"""The library interface: score images in this process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maclip_daemon.errors import Poison
from maclip_daemon.iqa import metrics, protocols
from maclip_daemon.iqa.metrics import Metric
from maclip_daemon.iqa.models import catalogue, loading
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.scoring.device import be_exact, choose_device, choose_precision
from maclip_daemon.scoring.engine import Engine
from maclip_daemon.settings import default_data_dir


class Scorer:
    """Judges images in this process; the daemon uses a process of its own for that.

    >>> scorer = Scorer(model="file:checkpoint.pt", protocol="spaq448")
    >>> scorer.score("IMG_1.jpg").score
    """

    def __init__(
        self,
        model: str = "auto",
        metric: str | Metric = "maclip",
        protocol: str = "auto",
        *,
        device: str = "auto",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        exif_rotation: bool = True,
        data_dir: Path | None = None,
    ) -> None:
        """`metric`: a name, or a `Metric` with parameters of your own; the others as in the settings.

        `exif_rotation`: turn images upright; off only to compare with the authors' code. Raises `UsageError`
        for names that mean nothing, `ModelUnavailable` for weights that are not here.
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
        """The size at which images are judged."""
        self._exif_rotation = exif_rotation
        self._engine = Engine(
            loading.load(resolved, chosen, data_dir, device=placed, precision=arithmetic),
            chosen,
            exact=lambda: loading.load(resolved, chosen, data_dir, device=placed, precision="fp32"),
        )

    def score(self, image: Image.Image | str | os.PathLike[str]) -> PhotoScore:
        """Score one image: a Pillow image, or the path of a file that Pillow opens.

        Raises `Poison` for what cannot be judged.
        """
        return self.score_many([image])[0]

    def score_many(self, images: Sequence[Image.Image | str | os.PathLike[str]]) -> list[PhotoScore]:
        """Score several images, their views in common batches. Raises the first error there is."""
        answers = self._engine.score([self._pixels(image) for image in images])
        scores = []
        for answer in answers:
            if not isinstance(answer, PhotoScore):
                raise answer
            scores.append(answer)
        return scores

    def _pixels(
        self, image: Image.Image | str | os.PathLike[str]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        if isinstance(image, Image.Image):
            return np.array(self.protocol.resize(self._upright(image)))
        try:
            with Image.open(image) as opened:
                return np.array(self.protocol.resize(self._upright(opened)))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise Poison(f"{os.fspath(image)} cannot be read as an image: {error}.") from None

    def _upright(self, image: Image.Image) -> Image.Image:
        return ImageOps.exif_transpose(image) if self._exif_rotation else image
