"""`scripts/bench/run bursts` makes its frames and measures what a made-up model does with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.usefixtures("bench")
def test_a_scene_is_written_once_and_read_again(tmp_path: Path) -> None:
    from bench.burst_scenes import write_scene

    from maclip_daemon.training.bursts.large_photos import LargePhoto

    generator = np.random.default_rng(0)
    source = tmp_path / "source.jpg"
    seeds = Image.fromarray(generator.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    seeds.resize((480, 320)).save(source)
    written = write_scene(LargePhoto(source, "source"), tmp_path / "frames", 480, 1)
    assert {"sharp 0", "mild motion", "strong noise", "blur 0.5", "exposure +2", "grey"} <= set(written)
    assert {pixels_of(path).shape for path in written.values()} == {(288, 432, 3)}
    first = {label: path.read_bytes() for label, path in written.items()}
    assert write_scene(LargePhoto(tmp_path / "gone.jpg", "source"), tmp_path / "frames", 480, 1) == written
    assert {label: path.read_bytes() for label, path in written.items()} == first
    assert np.ptp(pixels_of(written["grey"]).astype(int), axis=2).max() <= 2


@pytest.mark.usefixtures("bench")
def test_the_table_tells_a_model_that_sees_from_one_that_guesses() -> None:
    from bench.burst_scenes import frames_of
    from bench.bursts import table

    labels = [frame.label for frame in frames_of(np.random.default_rng(0))]
    generator = np.random.default_rng(1)
    guesses = {label: generator.normal(0.5, 0.1, 30) for label in labels}
    sees = {
        label: values + 5 * (label.startswith("sharp") or label in ("grey", "mirrored"))
        for label, values in guesses.items()
    }
    assert "| best of five, mild | 1.00 [1.00, 1.00] |" in table(sees)
    assert "| +2 EV ahead of the right exposure | 0.00 [0.00, 0.00] |" in table(sees)
    (guessed,) = (line for line in table(guesses) if line.startswith("| best of five, mild"))
    assert float(guessed.split("|")[2].split()[0]) < 0.5
