"""Fixtures: the real applications, our metadata writer, and photos with metadata."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyexiv2
import pytest
from PIL import Image, ImageFilter

from maclip_daemon.metadata.metadata_writer import MetadataWriter
from maclip_daemon.metadata.records import Mode, Prepared, QualityProperties, RatingRequest
from tests.photo_managers.applications import Installation, Screen, need, newer_root
from tests.photo_managers.darktable_application import Darktable
from tests.photo_managers.digikam_application import DIGIKAM_OPTIONS, DigiKam

QUALITY = QualityProperties(
    0.8123456, 42.125, 4, "maclip", "builtin", "spaq448", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
)
TITLE = "Am Kai, früh"
TAGS = ("Hafen", "Kräne")
DESCRIBED = {
    "Xmp.dc.title": {'lang="x-default"': TITLE},
    "Xmp.dc.subject": ["Hafen", "Kräne"],
    "Xmp.xmp.CreatorTool": "a camera",
}

Rate = Callable[..., Prepared]


@pytest.fixture(scope="session")
def screen() -> Iterator[Screen]:
    need("Xvfb")
    screen = Screen()
    yield screen
    screen.close()


@pytest.fixture(scope="session", params=["installed", "today"])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Return the photo managers of this system, then today's (`newer_root`).

    Where continuous integration has today's, only the matrix and the panel are tested with the others too.
    """
    is_short = os.environ.get("CI") == "true" and not request.config.getoption("--full")
    if request.param == "installed" and is_short and newer_root()[0] is not None:
        pytest.skip("today's are tested here, both by the matrix and the panel; --full tests both everywhere")
    return Installation(is_today=request.param == "today")


@pytest.fixture(scope="session")
def darktable(
    tmp_path_factory: pytest.TempPathFactory, screen: Screen, installation: Installation
) -> Iterator[Darktable]:
    """Yield one darktable, shared by all tests that only import their own folders."""
    installation.require("darktable")
    darktable = Darktable(tmp_path_factory.mktemp("darktable"), screen, installation=installation)
    yield darktable
    darktable.close()


@pytest.fixture(scope="session")
def empty_digikam(
    tmp_path_factory: pytest.TempPathFactory, screen: Screen, installation: Installation
) -> Path:
    """Return digiKam's databases without a photo."""
    installation.require("digikam")
    return DigiKam(tmp_path_factory.mktemp("digikam") / "home", screen, installation).databases


@pytest.fixture
def open_digikam(
    tmp_path: Path, screen: Screen, installation: Installation, empty_digikam: Path
) -> Callable[..., DigiKam]:
    def open_it(album: Path, *options: str) -> DigiKam:
        options = options or DIGIKAM_OPTIONS
        return DigiKam(tmp_path / "digikam", screen, installation, album, options, empty_digikam)

    return open_it


@pytest.fixture(scope="session")
def writer() -> Iterator[MetadataWriter]:
    with MetadataWriter() as writer:
        yield writer


@pytest.fixture
def rate(writer: MetadataWriter) -> Rate:
    """Return a function that writes stars as the daemon does and returns the prepared write."""

    def rate(
        photo: Path, stars: int, last: int | None = None, mode: Mode = "sidecar", bucket_tags: bool = False
    ) -> Prepared:
        quality = replace(QUALITY, stars=stars)
        request = RatingRequest(photo, quality, mode, last_written=last, bucket_tags=bucket_tags)
        prepared = writer.prepare(request)
        if prepared.status == "prepared":
            writer.commit(prepared)
        return prepared

    return rate


def make_photo(path: Path, seed: int, tags: dict[str, object] | None = None) -> Path:
    """Write a photo-like image, different for each seed, with its own XMP."""
    random = np.random.default_rng(seed)
    shapes = random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(shapes).resize((320, 240), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    kind = {".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".webp": "WEBP"}[path.suffix.lower()]
    image.filter(ImageFilter.GaussianBlur(1)).save(buffer, kind)
    data = buffer.getvalue()
    if tags:
        with pyexiv2.ImageData(data) as described:
            described.modify_xmp(tags)
            data = described.get_bytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def sidecar_of(photo: Path) -> Path:
    return photo.with_name(photo.name + ".xmp")
