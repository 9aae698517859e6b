"""What the science's tests share: the authors' golden values, and a seeded model with its photos."""

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
    """The models are so small that threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The authors' values, their checkpoint and images; not part of the project."""
    if not (GOLDEN / "expected.json").is_file():
        pytest.skip("the golden values of the authors' code are not beside this checkout (../shared/golden)")
    return GOLDEN


@pytest.fixture(scope="session")
def expected(golden: Path) -> Mapping[str, Any]:
    """Image name → protocol → what the authors' code gave."""
    return json.loads((golden / "expected.json").read_text())


@pytest.fixture(scope="session")
def seeded_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded checkpoint as a file."""
    return write_seeded_checkpoint(tmp_path_factory.mktemp("models") / "seeded.safetensors")
