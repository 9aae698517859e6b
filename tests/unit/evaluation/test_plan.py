import csv
import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maclip_daemon.errors import EnvironmentUnfit, ModelUnavailable, Poison, UsageError
from maclip_daemon.evaluation.plan import Outcome, Plan, carry_out
from maclip_daemon.evaluation.rated_images import RatedImage
from maclip_daemon.evaluation.runner import Decode
from maclip_daemon.iqa.photo_pixels import PhotoPixels
from maclip_daemon.iqa.protocols import Protocol


def _decode(path: Path, protocol: Protocol) -> PhotoPixels:
    try:
        with Image.open(path) as image:
            return PhotoPixels(np.array(protocol.resize(image)))
    except OSError as error:
        raise Poison(f"{path}: it is damaged") from error


def _carry_out(plan: Plan, folder: Path | None, decode: Decode = _decode) -> Outcome:
    return carry_out(
        plan,
        decode,
        Path("no-models-here"),
        title="Agreement <of> mos.csv",
        source="mos.csv",
        version="1.0",
        now=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        folder=folder,
    )


def _plan(images: list[RatedImage], checkpoint: Path, **changes: object) -> Plan:
    values = {"models": (f"file:{checkpoint}",), "protocols": ("native",), "resamples": 50, "device": "cpu"}
    return Plan(images, **(values | changes))  # type: ignore[arg-type]


def test_a_report_has_scores_summary_plots_and_one_page(
    checkpoint: Path, make_images, tmp_path: Path
) -> None:
    images = [*make_images(12, subset="a"), *make_images(11, subset="b")]
    images[1].path.write_bytes(b"broken")
    folder = tmp_path / "deep" / "report"
    plan = _plan(images, checkpoint, metrics=("maclip", "clipiqa"), with_ablations=True)
    outcome = _carry_out(plan, folder)
    assert outcome.page == folder / "report.html"

    with (folder / "scores.csv").open() as stream:
        rows = list(csv.reader(stream))
    assert rows[0][:3] == ["image", "subset", "mos"]
    assert len(rows) == 24
    assert len(rows[0]) == 3 + 2 + 12
    assert rows[2][3:] == [""] * 14
    assert float(rows[1][3]) > 0

    summary = json.loads((folder / "summary.json").read_text())
    assert summary["images"] == 23
    assert [(row["metric"], row["subset"]) for row in summary["agreement"]] == [
        (name, part) for name in ("maclip", "clipiqa") for part in ("all", "a", "b")
    ]
    assert len(summary["ablations"]) == 13
    assert len(list(folder.glob("*.png"))) == len(list(folder.glob("*.svg"))) == 2

    page = (folder / "report.html").read_text()
    assert "Agreement &lt;of&gt; mos.csv" in page
    assert page.count("data:image/png;base64,") == 2
    assert not re.search(r"(src|href)=[\"'](?!data:)|https?://|<script|@import|url\(", page)
    assert "a01.png" in page
    assert "λ = 0.3" in page


def test_the_same_plan_again_computes_nothing_and_gives_the_same_figures(
    checkpoint: Path, make_images, tmp_path: Path
) -> None:
    plan = _plan(make_images(12), checkpoint)
    first = _carry_out(plan, tmp_path / "report")
    again = _carry_out(plan, tmp_path / "report")
    assert (first.computed, again.computed) == (12, 0)
    assert again.summary == first.summary


def test_a_new_metric_computes_only_its_own_scores(checkpoint: Path, make_images, tmp_path: Path) -> None:
    images = make_images(12)
    _carry_out(_plan(images, checkpoint), tmp_path / "report")
    more = _carry_out(_plan(images, checkpoint, metrics=("maclip", "magnitude")), tmp_path / "report")
    assert more.computed == 12


def test_ablations_bring_maclip_along(checkpoint: Path, make_images) -> None:
    outcome = _carry_out(_plan(make_images(10), checkpoint, metrics=("clipiqa",), with_ablations=True), None)
    assert [row.candidate.judgement.name for row in outcome.summary.rows] == ["maclip", "clipiqa"]
    assert outcome.page is None


def test_auto_is_the_protocol_of_the_model(checkpoint: Path, make_images) -> None:
    outcome = _carry_out(_plan(make_images(10), checkpoint, protocols=("auto", "spaq448")), None)
    assert [row.candidate.protocol.name for row in outcome.summary.rows] == ["spaq448"]


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"metrics": ("brisque",)}, UsageError, "no metric 'brisque'"),
        ({"protocols": ("huge",)}, UsageError, "no protocol 'huge'"),
        ({"device": "tpu"}, UsageError, "no device 'tpu'"),
        ({"device": "cuda:99"}, EnvironmentUnfit, "no device 'cuda:99'"),
        ({"models": ("nothing",)}, UsageError, "no model 'nothing'"),
        ({"models": ("file:/nowhere.pt",)}, ModelUnavailable, "/nowhere.pt does not exist"),
    ],
)
def test_wrong_names_are_refused_before_any_image_is_decoded(
    checkpoint: Path, make_images, changes: dict[str, object], kind: type[Exception], text: str
) -> None:
    def never(path: Path, _protocol: Protocol) -> PhotoPixels:
        raise AssertionError(path)

    with pytest.raises(kind, match=re.escape(text)):
        _carry_out(_plan(make_images(10), checkpoint, **changes), None, never)


def test_a_report_without_matplotlib_names_the_command_that_installs_it(
    checkpoint: Path, make_images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentUnfit, match=r"pip install 'maclip-daemon\[evaluation\]'"):
        _carry_out(_plan(make_images(10), checkpoint), tmp_path / "report")


def test_a_report_folder_that_is_a_file_is_refused(checkpoint: Path, make_images, tmp_path: Path) -> None:
    (tmp_path / "report").touch()
    with pytest.raises(EnvironmentUnfit, match="Choose another folder with --report"):
        _carry_out(_plan(make_images(10), checkpoint), tmp_path / "report")
