"""The browser of this system, driven by Playwright, and photos whose licence allows it (scikit-image's)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra)")

from playwright.sync_api import Browser, expect, sync_playwright  # noqa: E402

from tests.web.desk import Desk  # noqa: E402

expect.set_options(timeout=60_000)  # for a loaded machine; no test measures time with it
NAMES = [f"IMG_{number:04}.jpg" for number in range(1, 13)]
_SAMPLES = ("astronaut", "cat", "coffee", "rocket", "immunohistochemistry", "retina")


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Some of scikit-image's photographs as JPEG files."""
    data = pytest.importorskip("skimage.data", reason="scikit-image has the sample photos")
    folder = tmp_path_factory.mktemp("samples")
    made = []
    for name in _SAMPLES[:4]:
        path = folder / f"{name}.jpg"
        Image.fromarray(getattr(data, name)()).save(path, quality=90)
        made.append(path)
    return made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing; .ci/run installs it")
        pytest.skip("Chromium is not installed")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def desk(tmp_path: Path, samples: Sequence[Path], browser: Browser) -> Iterator[Desk]:
    desk = Desk(tmp_path, samples, browser)
    yield desk
    desk.close()


@pytest.fixture
def filled(desk: Desk) -> Desk:
    """A desk with twelve photos, the weakest first."""
    desk.fill(NAMES)
    return desk
