from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

Make = Callable[..., list[RatedImage]]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Tiny models lose more by waiting for each other's threads than they win."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with weights from a seed."""
    return write_seeded_checkpoint(tmp_path_factory.mktemp("model") / "seeded.safetensors")


@pytest.fixture
def make_images(tmp_path: Path) -> Make:
    """Write images of noise of rising strength, the noisier the lower their opinion."""

    def make(count: int, *, size: tuple[int, int] = (240, 260), subset: str = "") -> list[RatedImage]:
        generator = np.random.default_rng(count)
        images = []
        for number in range(count):
            noise = generator.normal(128, 5 + 4 * number, (size[1], size[0], 3)).clip(0, 255)
            path = tmp_path / "images" / f"{subset}{number:02}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(noise.astype(np.uint8)).save(path)
            images.append(RatedImage(path, 5 - number / 4, subset))
        return images

    return make
