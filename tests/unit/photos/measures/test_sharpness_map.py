"""The heat map of `maclip show` tells how sharp a photo is at 100 %."""

from pathlib import Path

import numpy as np
from faulty_photos import Pixels, enlarged, sharp
from PIL import Image

from maclip_daemon.cli.printing.heatmap import draw
from maclip_daemon.settings import Settings


def blueness(pixels: Pixels, folder: Path, name: str) -> float:
    """Return by how many levels the heat map is bluer than red, on average over the photo."""
    photo, target = folder / f"{name}.jpg", folder / f"{name}-map.png"
    Image.fromarray(pixels).save(photo, quality=95)
    draw(photo, target, Settings())
    with Image.open(target) as drawn:
        tinted = np.asarray(drawn, float)[: pixels.shape[0]]
    return float((tinted[..., 2] - tinted[..., 0]).mean())


def test_an_enlarged_photo_is_not_drawn_as_sharp(tmp_path: Path) -> None:
    photo = sharp()
    assert blueness(photo, tmp_path, "photo") > 40
    assert blueness(enlarged(photo, 3), tmp_path, "enlarged") < 0
