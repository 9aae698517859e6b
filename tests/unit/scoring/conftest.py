"""Scoring's tests run torch on one thread: their models are so small that more only wait for each other."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """As above."""
    torch.set_num_threads(1)
