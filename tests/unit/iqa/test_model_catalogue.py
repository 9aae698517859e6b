"""The catalogue, the store, and how a name becomes weights; real files, no network, no torch needed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable, UsageError
from maclip_daemon.iqa.models import catalogue, installed_models
from maclip_daemon.iqa.models.catalogue import CATALOGUE, resolve, resolve_builtin
from maclip_daemon.iqa.models.importing import import_file
from maclip_daemon.iqa.models.installed_models import installed, verify
from maclip_daemon.iqa.models.seeded_checkpoint import seeded_state

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


def test_listing_the_models_does_not_import_torch() -> None:
    program = (
        "import sys, pathlib; from maclip_daemon.iqa import metrics, view_grid;"
        "from maclip_daemon.iqa.models import catalogue, downloads, importing, installed_models;"
        "import maclip_daemon.scoring.scorer_client;"
        "installed_models.installed(pathlib.Path('/nonexistent'));"
        "sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


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


@pytest.mark.parametrize("name", ["rn50-openai", None])
def test_another_file_cannot_take_the_name_of_a_published_one(
    name: str | None, tmp_path: Path, seeded_path: Path
) -> None:
    (tmp_path / "rn50-openai.safetensors").write_bytes(seeded_path.read_bytes())
    with pytest.raises(UsageError, match=r"not the published rn50-openai .*afeb0e10f9e5.*--name"):
        import_file(tmp_path / "rn50-openai.safetensors", tmp_path, name=name)
    assert not installed(tmp_path)


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


def test_an_import_keeps_the_protocol_that_its_file_names(tmp_path: Path) -> None:
    state = {name: value for name, value in seeded_state(3).items() if name != "prompts_features"}
    save_file(state, tmp_path / "a.safetensors", {"protocol": "native"})
    import_file(tmp_path / "a.safetensors", tmp_path)
    assert resolve("a", tmp_path).protocol == "native"


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


def test_an_import_is_copied_verified_and_usable_by_name(tmp_path: Path, seeded_path: Path) -> None:
    model = import_file(seeded_path, tmp_path)
    assert model.name == "seeded"
    assert not model.verified
    assert list(installed(tmp_path)) == ["seeded"]
    assert resolve("seeded", tmp_path).name == f"seeded@{digest(seeded_path)[:8]}"
    assert [ok for _, ok in verify(tmp_path)] == [True]
    model.path.write_bytes(model.path.read_bytes()[:-1])
    assert [ok for _, ok in verify(tmp_path)] == [False]


def test_an_installed_file_with_two_wrong_bytes_is_refused(tmp_path: Path, seeded_path: Path) -> None:
    model = import_file(seeded_path, tmp_path)
    content = bytearray(model.path.read_bytes())
    content[-8] ^= 0xFF
    content[-4] ^= 0xFF
    model.path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match=r"seeded\.safetensors is damaged.*Pull or import it again"):
        resolve("seeded", tmp_path)
    import_file(seeded_path, tmp_path)
    assert resolve("seeded", tmp_path).name.startswith("seeded@")


def test_a_licence_is_shown_and_must_be_accepted_before_an_import(tmp_path: Path) -> None:
    state = {f"clip_model.{name}": value for name, value in seeded_state(1).items() if "." in name}
    torch.save({**state, "prompts_features": torch.ones(14, 64)}, tmp_path / "qualiclip.pth")
    with pytest.raises(UsageError, match=r"CC BY-NC 4\.0.*no commercial use.*--accept-licence"):
        import_file(tmp_path / "qualiclip.pth", tmp_path, name="qualiclip-rn50")
    assert not installed(tmp_path)
    import_file(tmp_path / "qualiclip.pth", tmp_path, name="qualiclip-rn50", accept_licence=True)
    assert resolve("qualiclip-rn50", tmp_path).name.startswith("qualiclip-rn50@")


def test_an_import_from_another_kind_of_file_replaces_the_first(tmp_path: Path, seeded_path: Path) -> None:
    import_file(seeded_path, tmp_path, name="mine")
    torch.save(seeded_state(2), tmp_path / "other.pt")
    with pytest.raises(ModelUnavailable):  # prompts are not named in a state dict: 24 rows are not 14
        import_file(tmp_path / "other.pt", tmp_path, name="mine")
    state = {name: value for name, value in seeded_state(2).items() if name != "prompts_features"}
    torch.save(state, tmp_path / "other.pt")
    import_file(tmp_path / "other.pt", tmp_path, name="mine")
    kept = sorted(path.name for path in installed_models.models_dir(tmp_path).iterdir())
    assert kept == ["mine.json", "mine.pt"]


@pytest.mark.parametrize("name", ["auto", "builtin", "../evil", "a/b", ""])
def test_a_name_that_cannot_be_a_model_is_refused(name: str, tmp_path: Path, seeded_path: Path) -> None:
    if name:
        with pytest.raises(UsageError, match="cannot name a model"):
            import_file(seeded_path, tmp_path, name=name)
    else:
        assert import_file(seeded_path, tmp_path, name=name).name == "seeded"


def test_what_is_no_clip_is_not_imported(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelUnavailable, match="not a CLIP"):
        import_file(tmp_path / "other.pt", tmp_path)
    assert not installed(tmp_path)


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    folder = installed_models.models_dir(tmp_path)
    folder.mkdir()
    (folder / "mine.json").write_text("{")
    with pytest.raises(EnvironmentUnfit, match=r"mine\.json cannot be read"):
        installed(tmp_path)
