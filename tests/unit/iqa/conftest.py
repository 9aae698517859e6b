"""Shared by the tests of `iqa`: the authors' golden values, and a seeded model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

GOLDEN = Path(__file__).parents[3].parent / "shared" / "golden"


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute on one thread: the models are so small that threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden() -> Path:
    """Return the folder of the authors' values, checkpoint and images, which is not part of the project."""
    if not (GOLDEN / "expected.json").is_file():
        pytest.skip("the golden values of the authors' code are not beside this checkout (../shared/golden)")
    return GOLDEN


@pytest.fixture(scope="session")
def expected(golden: Path) -> Mapping[str, Any]:
    """Return image name → protocol → the numbers of the authors' code."""
    return json.loads((golden / "expected.json").read_text())


@pytest.fixture(scope="session")
def seeded_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a seeded checkpoint as a file."""
    return write_seeded_checkpoint(tmp_path_factory.mktemp("models") / "seeded.safetensors")
