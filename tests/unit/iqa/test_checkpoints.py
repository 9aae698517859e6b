"""Checkpoint files of every kind, real ones written by torch and safetensors."""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
from pathlib import Path

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import save_file

from maclip_daemon.errors import ModelUnavailable
from maclip_daemon.iqa.encoder import Encoder
from maclip_daemon.iqa.models import torchscript
from maclip_daemon.iqa.models.building import build_text_tower, build_visual_tower
from maclip_daemon.iqa.models.checkpoints import load_checkpoint
from maclip_daemon.iqa.models.loading import prompt_features
from maclip_daemon.iqa.models.seeded_checkpoint import seeded_prompts, seeded_state
from maclip_daemon.iqa.prompts import CLIPIQA_PAIRS, MACLIP_PAIRS, QUALICLIP_PAIRS, texts

TEXT = CLIPTextCfg(context_length=77, vocab_size=49408, width=64, heads=1, layers=2)


def small_clip(vision: CLIPVisionCfg) -> CLIP:
    torch.manual_seed(5)
    model = CLIP(64, vision, TEXT, quick_gelu=True).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1.0, 0.1)
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def resnet() -> CLIP:
    return small_clip(CLIPVisionCfg(layers=[1, 2, 1, 1], width=8, head_width=64, image_size=224))


@pytest.fixture(scope="module")
def transformer() -> CLIP:
    return small_clip(CLIPVisionCfg(layers=2, width=64, patch_size=32, image_size=224))


def without_positional_embedding(model: CLIP) -> CLIP:
    with torch.no_grad():
        model.visual.attnpool.positional_embedding.zero_()
    return model


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    return torch.randn(3, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def encoder_of(path: Path) -> Encoder:
    checkpoint = load_checkpoint(path)
    return Encoder(build_visual_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin))


def save_state_dict(model: CLIP, path: Path) -> None:
    torch.save(model.state_dict(), path)


def save_wrapped(model: CLIP, path: Path) -> None:
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, path)


def save_safetensors(model: CLIP, path: Path) -> None:
    save_file({name: value.clone() for name, value in model.state_dict().items()}, path)


def save_torchscript(model: CLIP, path: Path) -> None:
    image, text = torch.zeros(1, 3, 224, 224), torch.zeros(1, 77, dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, OpenAI's files are not
        torch.jit.trace(model, (image, text), check_trace=False).save(str(path))


@pytest.mark.parametrize("save", [save_state_dict, save_wrapped, save_safetensors, save_torchscript])
def test_a_resnet_is_read_from_every_kind_of_file(
    save, resnet: CLIP, views: torch.Tensor, tmp_path: Path
) -> None:
    save(resnet, tmp_path / "clip.pt")
    checkpoint = load_checkpoint(tmp_path / "clip.pt")
    assert checkpoint.architecture.layers == (1, 2, 1, 1)
    assert checkpoint.logit_scale == pytest.approx(resnet.logit_scale.item())
    features = encoder_of(tmp_path / "clip.pt").encode(views)
    with torch.no_grad():
        reference = without_positional_embedding(resnet).encode_image(views)
    assert torch.allclose(features, reference, atol=1e-5)


@pytest.mark.parametrize("save", [save_state_dict, save_torchscript])
def test_a_transformer_is_read_and_keeps_its_positions(
    save, transformer: CLIP, views: torch.Tensor, tmp_path: Path
) -> None:
    save(transformer, tmp_path / "clip.pt")
    encoder = encoder_of(tmp_path / "clip.pt")
    assert not encoder.any_size
    with torch.no_grad():
        assert torch.allclose(encoder.encode(views), transformer.encode_image(views), atol=1e-5)


def test_a_transformer_for_other_photos_than_224_has_its_positions_resampled(tmp_path: Path) -> None:
    save_state_dict(
        small_clip(CLIPVisionCfg(layers=1, width=64, patch_size=32, image_size=320)), tmp_path / "clip.pt"
    )
    assert encoder_of(tmp_path / "clip.pt").encode(torch.zeros(1, 3, 224, 224)).shape == (1, 64)


def test_the_text_tower_gives_open_clips_prompt_features(resnet: CLIP, tmp_path: Path) -> None:
    save_state_dict(resnet, tmp_path / "clip.pt")
    with torch.no_grad():
        reference = resnet.encode_text(open_clip.tokenize(list(texts(MACLIP_PAIRS))), normalize=True)
    features = prompt_features(load_checkpoint(tmp_path / "clip.pt"), MACLIP_PAIRS)
    assert torch.allclose(features, reference, atol=1e-6)


def test_a_whole_photo_of_any_size_goes_through_a_resnet(resnet: CLIP, tmp_path: Path) -> None:
    save_state_dict(resnet, tmp_path / "clip.pt")
    assert encoder_of(tmp_path / "clip.pt").encode(torch.zeros(1, 3, 300, 517)).shape == (1, 64)


@pytest.mark.parametrize(
    "name", ["visual.attnpool.c_proj.weight", "visual.conv1.weight", "visual.attnpool.positional_embedding"]
)
def test_a_resnet_with_an_empty_weight_is_refused(name: str, resnet: CLIP, tmp_path: Path) -> None:
    state = resnet.state_dict()
    state[name] = state[name][:0]
    torch.save(state, tmp_path / "clip.pt")
    with pytest.raises(ModelUnavailable, match="not a complete CLIP"):
        encoder_of(tmp_path / "clip.pt")


def test_half_precision_weights_are_computed_with_in_full(resnet: CLIP, tmp_path: Path) -> None:
    torch.save({name: value.half() for name, value in resnet.state_dict().items()}, tmp_path / "clip.pt")
    checkpoint = load_checkpoint(tmp_path / "clip.pt")
    tower = build_visual_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin)
    assert {value.dtype for value in tower.parameters()} == {torch.float32}
    text = build_text_tower(checkpoint.architecture, checkpoint.state, checkpoint.origin)
    assert {value.dtype for value in text.parameters()} == {torch.float32}


def test_the_torchscript_reader_finds_what_torch_jit_finds(resnet: CLIP, tmp_path: Path) -> None:
    save_torchscript(resnet, tmp_path / "clip.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = torch.jit.load(str(tmp_path / "clip.pt")).state_dict()
    state = torchscript.read_state(tmp_path / "clip.pt")
    assert set(reference) <= set(state)
    assert all(torch.equal(state[name], value) for name, value in reference.items())


def test_a_qualiclip_checkpoint_brings_its_seven_pairs(tmp_path: Path) -> None:
    state = {f"clip_model.{name}": value for name, value in seeded_state(1).items() if "." in name}
    rows = torch.randn(14, 64, generator=torch.Generator().manual_seed(1))
    torch.save({**state, "prompts_features": rows}, tmp_path / "qualiclip.pth")
    checkpoint = load_checkpoint(tmp_path / "qualiclip.pth")
    assert checkpoint.logit_scale == pytest.approx(4.60517)
    features = prompt_features(checkpoint, QUALICLIP_PAIRS)
    assert torch.allclose(features, torch.nn.functional.normalize(rows, dim=-1))
    with pytest.raises(ModelUnavailable, match="no text tower"):
        prompt_features(checkpoint, MACLIP_PAIRS)


def test_a_seeded_checkpoint_knows_the_prompts_of_every_metric(seeded_path: Path) -> None:
    checkpoint = load_checkpoint(seeded_path)
    assert set(checkpoint.stored_prompts) == set(seeded_prompts())
    assert prompt_features(checkpoint, CLIPIQA_PAIRS).shape == (2, 64)
    assert seeded_path.stat().st_size < 2_000_000


class RunsCode:
    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    trap = RunsCode()
    trap.marker = tmp_path / "it-ran"
    with (tmp_path / "clip.pt").open("wb") as file:
        pickle.dump({"visual.conv1.weight": trap}, file, protocol=2)
    torch.save({"visual.conv1.weight": trap}, tmp_path / "clip2.pt")
    for name in ("clip.pt", "clip2.pt"):
        with pytest.raises(ModelUnavailable, match=name):
            load_checkpoint(tmp_path / name)
    assert not trap.marker.exists()


def test_code_in_a_torchscript_archive_is_never_run(tmp_path: Path) -> None:
    trap = RunsCode()
    trap.marker = tmp_path / "it-ran"
    with zipfile.ZipFile(tmp_path / "clip.pt", "w") as archive:
        archive.writestr("clip/data.pkl", pickle.dumps(trap))
        archive.writestr("clip/constants.pkl", b"")
    with pytest.raises(ModelUnavailable, match=r"mkdir.*not part of a model's weights"):
        load_checkpoint(tmp_path / "clip.pt")
    assert not trap.marker.exists()


def test_files_that_are_no_clip_are_refused_by_name(tmp_path: Path, resnet: CLIP) -> None:
    save_state_dict(resnet, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "photo.pt").write_bytes(b"\xff\xd8\xff\xe0" + bytes(1000))
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes()[:-4])
    state = resnet.state_dict()
    del state["visual.layer2.1.conv2.weight"]
    torch.save(state, tmp_path / "hole.pt")
    (tmp_path / "folder.pt").mkdir()
    names = ["half.pt", "empty.pt", "photo.pt", "other.pt", "list.pt", "other.safetensors"]
    names += ["cut.safetensors", "hole.pt", "folder.pt", "absent.pt"]
    for name in names:
        with pytest.raises(ModelUnavailable, match=name):
            encoder_of(tmp_path / name)


def test_a_file_that_cannot_be_read_is_explained_in_words_of_this_program(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(300)}, tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    save_file({"weight": torch.zeros(300)}, tmp_path / "whole.safetensors")
    tensors = (tmp_path / "whole.safetensors").read_bytes()
    torch.save({"weight": torch.zeros(300)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    torch.save([torch.zeros(3)], tmp_path / "list.pt")
    with zipfile.ZipFile(tmp_path / "document.zip", "w") as archive:
        archive.writestr("letter.txt", "Dear reader")
    no_model = "is not a model file (neither TorchScript, a state dict, nor safetensors)"
    reasons = {
        "empty.pt": (b"", "is empty"),
        "text.pt": (b"hello there, this is text\n" * 20, no_model),
        "short.pt": (b"e\n", no_model),
        "json.pt": (b'{"a": 1}', no_model),
        "zeros.pt": (bytes(1000), no_model),
        "document.pt": ((tmp_path / "document.zip").read_bytes(), no_model),
        "cut.pt": (whole[: len(whole) // 2], "is cut off"),
        "directory.pt": (whole.replace(b"PK\x01\x02", b"PK\x09\x09"), "is damaged"),
        "old_cut.pt": ((tmp_path / "old.pt").read_bytes()[:-100], "is damaged or cut off"),
        "cut.safetensors": (tensors[:-4], "is cut off"),
        "header.safetensors": (tensors[:20], "is cut off"),
        "junk.safetensors": (tensors.replace(b'"dtype"', b'"dtyp*"'), "is damaged"),
        "raw.pt": (pickle.dumps({"weight": RunsCode}, protocol=4), no_model),
    }
    for name, (content, reason) in reasons.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelUnavailable) as refusal:
            load_checkpoint(tmp_path / name)
        assert f"{name} {reason}" in str(refusal.value)
    with pytest.raises(ModelUnavailable, match=r"list\.pt holds a list, not a state dict"):
        load_checkpoint(tmp_path / "list.pt")
    with pytest.raises(ModelUnavailable, match="is a folder"):
        load_checkpoint(tmp_path)


def test_code_in_a_file_is_named_in_the_refusal(tmp_path: Path) -> None:
    trap = RunsCode()
    trap.marker = tmp_path / "it-ran"
    torch.save({"visual.conv1.weight": trap}, tmp_path / "clip.pt")
    with pytest.raises(ModelUnavailable, match=r"it names posix\.mkdir, and code .* is never run"):
        load_checkpoint(tmp_path / "clip.pt")


class Part:
    """A module of a TorchScript archive as its pickle holds it."""


def write_archive(path: Path, state: object, storage: bytes = b"\0" * 4) -> None:
    """Write a TorchScript archive whose only module has this state."""
    text = io.BytesIO()
    pickler = pickle._Pickler(text, protocol=2)  # the class must keep the name that it is given here
    pickler.dump(state)
    pickled = text.getvalue().replace(Part.__module__.encode(), b"__torch__")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/constants.pkl", b"\x80\x02).")
        archive.writestr("m/data.pkl", pickled)
        archive.writestr("m/data/0", storage)


def test_an_archive_that_unpacks_to_much_more_than_it_holds_is_refused_unread(tmp_path: Path) -> None:
    for name in ("constants.pkl", "version"):  # TorchScript; a state dict of torch.save
        with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"m/{name}", b"\x80\x02).")
            archive.writestr("m/data.pkl", b"\x80\x02}.")
            archive.writestr("m/data/0", bytes(200_000_000))
        with pytest.raises(ModelUnavailable, match=r"0\.2 MB would take 200\.0 MB of memory. Nothing"):
            load_checkpoint(tmp_path / "bomb.pt")


def test_tensors_that_repeat_a_small_storage_are_refused(tmp_path: Path) -> None:
    torch.save({"visual.conv1.weight": torch.zeros(1).expand(30_000, 1_000)}, tmp_path / "wide.pt")
    with pytest.raises(ModelUnavailable, match=r"would take 120\.0 MB of memory"):
        load_checkpoint(tmp_path / "wide.pt")
    shared = torch.zeros(1000, 1000)
    torch.save({f"visual.{number}.weight": shared for number in range(50)}, tmp_path / "many.pt")
    with pytest.raises(ModelUnavailable, match=r"would take 200\.0 MB of memory"):
        load_checkpoint(tmp_path / "many.pt")


def test_a_pickle_that_asks_for_a_memo_longer_than_itself_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "memo.pt", "w") as archive:
        archive.writestr("m/constants.pkl", b"\x80\x02).")
        archive.writestr("m/data.pkl", b"\x80\x02}r" + (2**31).to_bytes(4, "little") + b".")
    with pytest.raises(ModelUnavailable, match=r"would take 34,359\.7 MB of memory"):
        load_checkpoint(tmp_path / "memo.pt")


def test_modules_inside_each_other_without_end_are_refused(tmp_path: Path) -> None:
    circle = Part()
    circle.inner = circle
    write_archive(tmp_path / "circle.pt", circle)
    with pytest.raises(ModelUnavailable, match="its parts hold each other without end"):
        load_checkpoint(tmp_path / "circle.pt")
    doubled = Part()
    for _ in range(40):  # 2⁴⁰ names in a few hundred bytes
        outer = Part()
        outer.left = outer.right = doubled
        doubled = outer
    write_archive(tmp_path / "doubled.pt", doubled)
    with pytest.raises(ModelUnavailable, match="its parts hold each other without end"):
        load_checkpoint(tmp_path / "doubled.pt")


@pytest.mark.parametrize("where", ["header", "prompts", "timm_tower"])
def test_nesting_without_end_is_explained(where: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.safetensors"
    deep = '{"a":' * 40_000
    if where == "header":
        path.write_bytes((200_040).to_bytes(8, "little") + deep.encode() + b" " * 40)
    else:
        tensors = {"prompts_features": torch.zeros(2, 4)} | seeded_state(1)
        save_file(tensors, path, metadata={where: deep})
    with pytest.raises(ModelUnavailable, match=r"deep\.safetensors") as refused:
        load_checkpoint(path)
    assert "Fetch" in str(refused.value) or "fetch" in str(refused.value)


@pytest.mark.parametrize("name", ["hf-hub:someone/model", "vit_giant_patch14_clip_224", "no_such_model", 3])
def test_a_tower_of_another_family_is_not_built_or_fetched(name: object, tmp_path: Path) -> None:
    described = json.dumps({"timm_model_name": name, "embed_dim": 64})
    save_file(seeded_state(1), tmp_path / "m.safetensors", metadata={"timm_tower": described})
    with pytest.raises(ModelUnavailable, match="describe no tower that this version knows"):
        load_checkpoint(tmp_path / "m.safetensors")
