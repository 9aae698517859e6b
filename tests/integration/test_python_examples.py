"""The examples of docs/python.md run unchanged."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

import maclip_daemon
from maclip_daemon.settings import DecodingSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "photos"))
from make_photos import picture, still_bytes

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_examples_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MACLIP_DATA_DIR", str(tmp_path / "data"))
    (tmp_path / "IMG_1.heic").write_bytes(still_bytes(picture(), "heic"))
    (tmp_path / "IMG_2.jpg").write_bytes(still_bytes(picture(800, 600), "jpg"))
    (tmp_path / "damaged.jpg").write_bytes(still_bytes(picture(800, 600), "jpg")[:5000])
    (tmp_path / "holiday").mkdir()
    for number in range(3):
        (tmp_path / "holiday" / f"{number}.jpg").write_bytes(still_bytes(picture(seed=number), "jpg"))
    names: dict[str, object] = {}
    for example in EXAMPLES:
        exec(example, names)  # noqa: S102 - the page is part of this repository
    assert len(names["scores"]) == 3
    assert isinstance(names["best"], maclip_daemon.Score)
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].startswith("damaged.jpg: the JPEG is damaged: it is cut off")
    assert len(printed) == 4
    assert float(printed[3]) == pytest.approx(names["score"].score, abs=0.01)


def test_the_page_names_every_field_of_a_score() -> None:
    for field in maclip_daemon.Score.__dataclass_fields__:
        assert f"`{field}`" in PAGE


def test_the_limits_that_the_page_raises_are_settings() -> None:
    raised = re.findall(r"`DecodingSettings\((max_megapixels.*?)\)`", PAGE)
    assert len(raised) == 1
    keys = re.findall(r"(\w+)=", raised[0])
    assert set(keys) <= set(DecodingSettings.model_fields)
