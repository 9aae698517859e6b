"""The catalogue, and how a name becomes weights; real files, no network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable, UsageError
from maclip_daemon.iqa.models import catalogue, installed_models
from maclip_daemon.iqa.models.catalogue import CATALOGUE, resolve, resolve_builtin
from maclip_daemon.iqa.models.installed_models import installed

OPENAI = {"rn50": "RN50", "rn101": "RN101", "vit-b-32": "ViT-B-32", "vit-l-14": "ViT-L-14"}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pretend_installed(data_dir: Path, name: str, source: Path) -> None:
    folder = installed_models.models_dir(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".partial"
    partial.write_bytes(source.read_bytes())
    installed_models.install(partial, folder / f"{name}.pt", digest(source), verified=True, source="a test")


@pytest.mark.parametrize(("name", "architecture"), OPENAI.items())
def test_openai_models_have_the_address_that_open_clip_knows(name: str, architecture: str) -> None:
    entry = CATALOGUE[f"{name}-openai"]
    assert entry.url == open_clip.get_pretrained_url(architecture, "openai")
    assert entry.sha256 == entry.url.split("/")[-2]
    assert entry.licence == "MIT"


def test_auto_takes_the_real_clip_when_it_is_installed_and_never_downloads(
    tmp_path: Path, seeded_path: Path
) -> None:
    if catalogue.BUILTIN_WEIGHTS.is_file():
        assert resolve("auto", tmp_path).name.startswith("builtin@")
    else:
        with pytest.raises(ModelUnavailable, match="models pull rn50-openai"):
            resolve("auto", tmp_path)
    pretend_installed(tmp_path, "rn50-openai", seeded_path)
    assert resolve("auto", tmp_path).name == "rn50-openai"


def test_auto_takes_no_file_that_only_bears_the_name(tmp_path: Path, seeded_path: Path) -> None:
    pretend_installed(tmp_path, "rn50-openai", seeded_path)
    card_path = installed_models.models_dir(tmp_path) / "rn50-openai.json"
    card_path.write_text(json.dumps(json.loads(card_path.read_text()) | {"verified": False}))
    assert resolve("auto", tmp_path).name.startswith("builtin@")
    assert resolve("rn50-openai", tmp_path).name == f"rn50-openai@{digest(seeded_path)[:8]}"


def test_a_catalogue_model_that_is_not_here_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="`maclip models pull vit-b-32-openai` fetches it"):
        resolve("vit-b-32-openai", tmp_path)
    with pytest.raises(ModelUnavailable, match="models import FILE --name qualiclip-rn50"):
        resolve("qualiclip-rn50", tmp_path)


def test_an_unknown_model_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"rn50-openai.*file:PATH.*ARCHITECTURE/TAG"):
        resolve("resnet", tmp_path)


def test_a_file_is_known_by_its_content(tmp_path: Path, seeded_path: Path) -> None:
    copy = tmp_path / "my model.safetensors"
    copy.write_bytes(seeded_path.read_bytes())
    before = resolve(f"file:{copy}", tmp_path)
    assert before.name == f"file:my model.safetensors@{digest(seeded_path)[:8]}"
    assert before.protocol == "spaq448"
    copy.write_bytes(seeded_path.read_bytes()[:-4] + b"\0\0\0\0")
    assert resolve(f"file:{copy}", tmp_path).name != before.name


def test_a_file_that_names_its_protocol_is_judged_at_it(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(1)}, tmp_path / "a.safetensors", {"protocol": "native"})
    assert resolve(f"file:{tmp_path / 'a.safetensors'}", tmp_path).protocol == "native"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"absent\.pt does not exist"):
        resolve(f"file:{tmp_path / 'absent.pt'}", tmp_path)
    with pytest.raises(ModelUnavailable, match="is a folder"):
        resolve(f"file:{tmp_path}", tmp_path)


def test_the_builtin_model_is_what_its_card_says(tmp_path: Path, seeded_path: Path) -> None:
    weights = tmp_path / "builtin.safetensors"
    with pytest.raises(ModelUnavailable, match="has no built-in model"):
        resolve_builtin(weights)
    weights.write_bytes(seeded_path.read_bytes())
    card = {
        "version": "7",
        "protocol": "native",
        "sha256": digest(weights),
        "edges": {"maclip": [0.1, 0.2, 0.3, 0.4]},
    }
    weights.with_suffix(".json").write_text(json.dumps(card))
    builtin = resolve_builtin(weights)
    assert (builtin.name, builtin.protocol) == ("builtin@7", "native")
    assert builtin.edges == {"maclip": (0.1, 0.2, 0.3, 0.4)}
    weights.write_bytes(weights.read_bytes() + b"\0")
    with pytest.raises(ModelUnavailable, match="not the built-in model it should be"):
        resolve_builtin(weights)


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    folder = installed_models.models_dir(tmp_path)
    folder.mkdir()
    (folder / "mine.json").write_text("{")
    with pytest.raises(EnvironmentUnfit, match=r"mine\.json is damaged"):
        installed(tmp_path)
