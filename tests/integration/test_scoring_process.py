"""The real scoring process, with torch, over its pipe."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from maclip_daemon.errors import ChildDied, EnvironmentUnfit, ModelUnavailable, Poison
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from maclip_daemon.iqa.photo_score import PhotoScore
from maclip_daemon.scoring.scorer_client import PixelBlock, ScorerClient
from maclip_daemon.settings import ScoringSettings

LOST_DEVICE = """
from maclip_daemon.processes import child_server
from maclip_daemon.iqa.encoder import Encoder
from maclip_daemon.scoring.scoring_server import ScoringServer

works = Encoder.encode

def encode(self, views):
    if len(views) >= configuration["views_that_break_it"]:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return works(self, views)

configuration = {"views_that_break_it": %d}
Encoder.encode = encode
child_server.serve(ScoringServer(child_server.configuration()))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_seeded_checkpoint(tmp_path_factory.mktemp("models") / "seeded.safetensors")


@pytest.fixture
def client(tmp_path: Path, model: Path) -> Iterator[ScorerClient]:
    settings = ScoringSettings(model=f"file:{model}", precision="fp32", device="cpu", threads=1)
    client = ScorerClient(settings, tmp_path)
    yield client
    client.close()


def pixels(seed: int, width: int = 448, height: int = 448) -> bytes:
    return np.random.RandomState(seed).bytes(width * height * 3)


def test_photos_are_scored_and_a_bad_one_fails_alone(
    client: ScorerClient, model: Path, tmp_path: Path
) -> None:
    spooled = tmp_path / "spooled"
    spooled.write_bytes(pixels(3, 600, 400))
    blocks = [
        PixelBlock(pixels(1), None, 448, 448),
        PixelBlock(pixels(2, 100, 448), None, 100, 448, "/photos/narrow.jpg"),
        PixelBlock(None, spooled, 600, 400),
    ]
    first, narrow, from_spool = client.score(blocks)
    assert isinstance(first, PhotoScore)
    assert isinstance(from_spool, PhotoScore)
    assert isinstance(narrow, Poison)
    assert "/photos/narrow.jpg" in str(narrow)
    assert (first.views, first.device, first.precision) == (5, "cpu", "fp32")
    assert (from_spool.views, from_spool.width, from_spool.height) == (7, 600, 400)

    pid = client.pid
    assert client.score(blocks[:1])[0].score == pytest.approx(first.score, abs=1e-4)
    assert client.pid == pid

    os.kill(pid, signal.SIGKILL)
    while client.pid is not None:
        time.sleep(0.01)
    assert client.score(blocks[:1])[0].score == pytest.approx(first.score, abs=1e-4)
    assert client.pid != pid


def test_a_file_that_is_no_model_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"\xff\xd8\xff\xe0 not a model")
    client = ScorerClient(ScoringSettings(model=f"file:{tmp_path / 'broken.pt'}"), tmp_path)
    with pytest.raises(ModelUnavailable, match=r"broken\.pt"):
        client.score([PixelBlock(pixels(1), None, 448, 448)])
    client.close()


def losing_its_device(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, views_that_break_it: int
) -> ScorerClient:
    (tmp_path / "a_lost_device.py").write_text(LOST_DEVICE % views_that_break_it)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    return ScorerClient(ScoringSettings(model=f"file:{model}"), tmp_path, module="a_lost_device")


def test_a_lost_device_ends_the_process_so_that_a_fresh_one_starts(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = losing_its_device(tmp_path, model, monkeypatch, views_that_break_it=5)
    with pytest.raises(ChildDied, match="the device is lost: CUDA error: an illegal memory access"):
        client.score([PixelBlock(pixels(1), None, 448, 448)])
    assert client.pid is None
    small = PixelBlock(pixels(1, 224, 224), None, 224, 224)
    assert isinstance(client.score([small])[0], PhotoScore)
    client.close()


def test_a_device_that_fails_every_new_process_fails_no_photo(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = losing_its_device(tmp_path, model, monkeypatch, views_that_break_it=1)
    with pytest.raises(EnvironmentUnfit, match=r"cannot be used: .*the device is lost: CUDA error"):
        client.score([PixelBlock(pixels(1), None, 448, 448)])
    assert client.pid is None
