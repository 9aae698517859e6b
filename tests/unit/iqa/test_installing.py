"""Models are pulled from a real server on this machine, whole and broken, and imported from files."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from maclip_daemon.errors import ModelUnavailable, UsageError
from maclip_daemon.iqa.models import installed_models
from maclip_daemon.iqa.models.catalogue import CATALOGUE, CatalogueEntry, resolve
from maclip_daemon.iqa.models.installed_models import installed, verify
from maclip_daemon.iqa.models.installing import import_file, pull
from maclip_daemon.iqa.models.seeded_checkpoint import seeded_state

WEIGHTS = bytes(range(256)) * 12_000  # 3 MB, so that progress is called more than once


class Server(http.server.ThreadingHTTPServer):
    """Serves WEIGHTS; `breaks_after` bytes the connection ends, `ranges` off sends all each time."""

    breaks_after: int | None = None
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requested: list[str | None] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requested.append(wanted)
        if not self.path.endswith("weights.pt"):
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranges else 0
        if start >= len(WEIGHTS):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(WEIGHTS) - start))
        self.end_headers()
        end = len(WEIGHTS) if self.server.breaks_after is None else start + self.server.breaks_after
        self.wfile.write(WEIGHTS[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def entry(server: Server, path: str = "weights.pt", content: bytes = WEIGHTS) -> CatalogueEntry:
    digest = hashlib.sha256(content).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/{digest}/{path}"
    return CatalogueEntry("mine", "A test.", "MIT", "", "here", 3, sha256=digest, url=url)


def partial(data_dir: Path) -> Path:
    return installed_models.models_dir(data_dir) / ".mine.partial"


def test_a_model_is_pulled_with_progress_and_verified(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    model = pull(entry(server), tmp_path, lambda here, total: seen.append((here, total)))
    assert model.path.read_bytes() == WEIGHTS
    assert model.verified
    assert seen[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert [here for here, _ in seen] == sorted(here for here, _ in seen)
    assert list(installed(tmp_path)) == ["mine"]
    assert not partial(tmp_path).exists()


def test_a_broken_download_is_kept_and_continued(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 2_000_000
    with pytest.raises(ModelUnavailable, match=r"2 MB are kept.*again to continue"):
        pull(entry(server), tmp_path)
    assert not installed(tmp_path)
    assert pull(entry(server), tmp_path).path.read_bytes() == WEIGHTS
    assert server.requested == [None, "bytes=2000000-"]


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    partial(tmp_path).parent.mkdir()
    partial(tmp_path).write_bytes(b"old")
    assert pull(entry(server), tmp_path).path.read_bytes() == WEIGHTS


def test_a_complete_but_unverified_download_is_only_checked(server: Server, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir()
    partial(tmp_path).write_bytes(WEIGHTS)
    assert pull(entry(server), tmp_path).path.read_bytes() == WEIGHTS


def test_a_download_that_is_not_the_published_file_is_deleted(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="wrong SHA-256"):
        pull(entry(server, content=b"the real one"), tmp_path)
    assert not installed(tmp_path)
    assert not partial(tmp_path).exists()


def test_an_installed_model_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    pull(entry(server), tmp_path)
    pull(entry(server), tmp_path)
    assert len(server.requested) == 1


def test_an_address_that_fails_is_named(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"absent\.pt cannot be fetched.*404|Not Found"):
        pull(entry(server, "absent.pt"), tmp_path)


def test_the_refusal_to_fetch_names_the_origin_of_the_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"QualiCLIP.*models import FILE"):
        pull(CATALOGUE["qualiclip-rn50"], tmp_path)
    with pytest.raises(UsageError, match="comes with the package"):
        pull(CATALOGUE["builtin"], tmp_path)


@pytest.mark.parametrize("name", ["rn50-openai", None])
def test_another_file_cannot_take_the_name_of_a_published_one(
    name: str | None, tmp_path: Path, seeded_path: Path
) -> None:
    (tmp_path / "rn50-openai.safetensors").write_bytes(seeded_path.read_bytes())
    with pytest.raises(UsageError, match=r"not the published rn50-openai .*afeb0e10f9e5.*--name"):
        import_file(tmp_path / "rn50-openai.safetensors", tmp_path, name=name)
    assert not installed(tmp_path)


def test_an_import_keeps_the_protocol_that_its_file_names(tmp_path: Path) -> None:
    state = {name: value for name, value in seeded_state(3).items() if name != "prompts_features"}
    save_file(state, tmp_path / "a.safetensors", {"protocol": "native"})
    import_file(tmp_path / "a.safetensors", tmp_path)
    assert resolve("a", tmp_path).protocol == "native"


def test_an_import_is_copied_verified_and_usable_by_name(tmp_path: Path, seeded_path: Path) -> None:
    model = import_file(seeded_path, tmp_path)
    assert model.name == "seeded"
    assert not model.verified
    assert list(installed(tmp_path)) == ["seeded"]
    assert resolve("seeded", tmp_path).name == f"seeded@{installed_models.hash_file(seeded_path)[:8]}"
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


def test_a_file_that_is_no_clip_is_not_imported(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ModelUnavailable, match="not a CLIP"):
        import_file(tmp_path / "other.pt", tmp_path)
    assert not installed(tmp_path)
