"""Names of metrics, models and protocols as they are typed, and the tables that show them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from maclip_daemon.cli.program import assembled
from maclip_daemon.errors import ConfigurationError, MaclipError, ModelUnavailable, UsageError
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import installed_models
from maclip_daemon.iqa.models.catalogue import builtin_card
from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint
from maclip_daemon.pipeline.commands import score_photos


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in [name for name in os.environ if name.startswith(("MACLIP_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "configuration"))
    monkeypatch.setenv("MACLIP_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def maclip(*arguments: str | Path) -> str:
    result = CliRunner().invoke(assembled(), [os.fspath(argument) for argument in arguments])
    if isinstance(result.exception, MaclipError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_list_shows_the_builtin_models_own_protocol_and_digest() -> None:
    card = builtin_card()
    assert card is not None
    line = next(line for line in maclip("models", "list").splitlines() if line.startswith("builtin"))
    assert card["protocol"] in line
    assert f" {card['sha256'][:12]} " in line
    row = json.loads(maclip("models", "list", "--json").splitlines()[0])
    assert (row["name"], row["protocol"], row["sha256"]) == ("builtin", card["protocol"], card["sha256"])


def test_pulling_what_open_clip_does_not_have_is_a_mistake_in_the_command() -> None:
    with pytest.raises(UsageError, match="no weights 'yped' for RN50"):
        maclip("models", "pull", "RN50/yped")


def test_a_damaged_import_is_refused_and_named_by_verify(tmp_path: Path, data_dir: Path) -> None:
    maclip("models", "import", write_seeded_checkpoint(tmp_path / "mine.safetensors"))
    stored = installed_models.models_dir(data_dir) / "mine.safetensors"
    content = bytearray(stored.read_bytes())
    content[-1] ^= 0xFF
    stored.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="Pull or import it again"):
        maclip("models", "verify")
    with pytest.raises(ModelUnavailable, match="Pull or import it again"):
        maclip("eval", tmp_path, "--mos", opinions(tmp_path), "--model", "mine")


def opinions(folder: Path) -> Path:
    lines = ["image,mos"]
    for number in range(12):
        (folder / f"{number}.png").write_bytes(b"never looked into")
        lines.append(f"{number}.png,{number}")
    (folder / "mos.csv").write_text("\n".join(lines) + "\n")
    return folder / "mos.csv"


@pytest.mark.parametrize("good", ["auto", "builtin", "rn50-openai", "file:/absent.pt", "RN50/openai"])
def test_a_configuration_may_name_weights_that_are_not_here_yet(
    good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MACLIP_SCORING__MODEL", good)
    assert "valid" in maclip("config", "validate")


def test_every_wrong_name_in_the_configuration_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MACLIP_SCORING__METRIC", "x")
    monkeypatch.setenv("MACLIP_SCORING__PROTOCOL", "foo")
    monkeypatch.setenv("MACLIP_SCORING__MODEL", "nomodel")
    with pytest.raises(ConfigurationError) as refusal:
        maclip("config", "validate")
    for part in ("scoring.metric: There is no metric 'x'", "scoring.protocol", "'foo'", "'nomodel'"):
        assert part in str(refusal.value)


@pytest.mark.parametrize("metric", metrics.METRICS)
def test_the_csv_has_a_column_for_each_pair_of_the_metric(
    metric: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = {pair.name: 0.5 for pair in metrics.parse(metric).pairs}
    row = {"path": "a.jpg", "score": 0.7, "attributes": attributes, "metric": metric, "error": None}
    monkeypatch.setattr(score_photos, "score", lambda *_: iter([row]))
    (tmp_path / "a.jpg").touch()
    output = maclip("score", tmp_path / "a.jpg", "--metric", metric, "--csv")
    (printed,) = csv.DictReader(io.StringIO(output))
    assert {name: float(printed[name]) for name in attributes} == attributes
    assert list(printed)[5:-6] == list(attributes)
