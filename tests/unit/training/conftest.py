"""What the tests of training share: a seeded checkpoint, and one thread."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Compute on one thread: the models are so small that threads only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def seeded_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a seeded checkpoint as a file."""
    return write_seeded_checkpoint(tmp_path_factory.mktemp("models") / "seeded.safetensors")
