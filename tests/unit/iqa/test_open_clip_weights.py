"""Names of weights against open_clip's own list; caches as open_clip and the hub lay them out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa.models import open_clip_models, open_clip_weights
from maclip_daemon.iqa.models.catalogue import resolve
from maclip_daemon.iqa.models.open_clip_weights import WeightsAddress, cache_dir, known_weights

HUB_MODEL = ("ViT-B-16", "laion2b_s34b_b88k")


def put_into_hub_cache(data_dir: Path, content: bytes, named: bytes | None = None) -> Path:
    """A file for HUB_MODEL as huggingface_hub stores one: a blob called by its SHA-256, and a link to it."""
    repository = known_weights()[HUB_MODEL].hub.strip("/")
    folder = cache_dir(data_dir) / f"models--{repository.replace('/', '--')}"
    blob = folder / "blobs" / hashlib.sha256(named or content).hexdigest()
    snapshot = folder / "snapshots" / "c0ffee"
    for needed in (blob.parent, snapshot, folder / "refs"):
        needed.mkdir(parents=True)
    blob.write_bytes(content)
    (folder / "refs" / "main").write_text("c0ffee")
    (snapshot / "open_clip_model.safetensors").symlink_to(blob)
    return blob


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("RN50/yped", r"no weights 'yped' for RN50\. It has .*RN50/openai"),
        ("ViT-B-16/laion2b-s34b-b88k", r"It has ViT-B-16/laion2b_s34b_b88k"),
        ("vit-b-32/openai", r"Did you mean ViT-B-32 or"),
        ("models/clip.pt", r"no weights for an architecture 'models'.*file:PATH"),
    ],
)
def test_a_mistyped_name_is_answered_with_near_ones(name: str, answer: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=answer):
        resolve(name, tmp_path)
    with pytest.raises(UsageError, match=answer):
        open_clip_models.pull(*name.split("/"), tmp_path)


def test_weights_that_were_never_fetched_say_so(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="`maclip models pull ViT-B-16/laion2b_s34b_b88k` fetches it"):
        resolve("/".join(HUB_MODEL), tmp_path)


def test_weights_from_the_hub_are_found_and_checked(tmp_path: Path) -> None:
    put_into_hub_cache(tmp_path / "sound", b"weights")
    assert resolve("/".join(HUB_MODEL), tmp_path / "sound").open_clip == HUB_MODEL
    blob = put_into_hub_cache(tmp_path / "damaged", b"we?ghts", named=b"weights")
    with pytest.raises(ModelUnavailable, match=rf"damaged.*Remove {blob}"):
        resolve("/".join(HUB_MODEL), tmp_path / "damaged")


def test_weights_from_an_address_are_found_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # open_clip 3.3 has all of its weights on the hub; other versions have some at an address alone.
    address = f"https://example.org/models/{hashlib.sha256(b'weights').hexdigest()}/RN50.pt"
    listed = {("RN50", "openai"): WeightsAddress(address, "")}
    monkeypatch.setattr(open_clip_weights, "known_weights", lambda: listed)
    with pytest.raises(ModelUnavailable, match="models pull"):
        resolve("RN50/openai", tmp_path)
    cache_dir(tmp_path).mkdir(parents=True)
    (cache_dir(tmp_path) / "RN50.pt").write_bytes(b"weights")
    assert resolve("RN50/openai", tmp_path).open_clip == ("RN50", "openai")
    (cache_dir(tmp_path) / "RN50.pt").write_bytes(b"we?ghts")
    with pytest.raises(ModelUnavailable, match="damaged"):
        resolve("RN50/openai", tmp_path)


def test_a_name_passes_where_open_clip_cannot_list_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip_weights, "known_weights", dict)
    assert resolve("RN50/yped", tmp_path).open_clip == ("RN50", "yped")
