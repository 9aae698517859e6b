import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

COUNT = 40
BIQ = Path(__file__).parents[2] / "../shared/data/biq2021"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with noise images, their opinion scores and a small model."""
    generator = np.random.default_rng(0)
    lines = ["image,mos"]
    (tmp_path / "images").mkdir()
    for number in range(COUNT):
        name = f"s{number % 2}_{number:02}.png"
        noise = generator.normal(128, 5 + 2 * number, (300, 400, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noise).save(tmp_path / "images" / name)
        lines.append(f"{name},{5 - number / 10}")
    (tmp_path / "mos.csv").write_text("\n".join(lines) + "\n")
    write_seeded_checkpoint(tmp_path / "seeded.safetensors")
    return tmp_path


def _command(folder: Path, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        "maclip_daemon",
        "--data-dir",
        str(folder / "data"),
        "eval",
        *(arguments or ("images", "--mos", "mos.csv")),
        *("--model", f"file:{folder / 'seeded.safetensors'}", "--protocol", "native"),
        *("--bootstrap", "50", "--device", "cpu"),
    ]


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        _command(folder, *arguments), cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.long_form
def test_output_to_a_pipe_is_plain_aligned_text_with_a_report(folder: Path) -> None:
    done = _run(folder, "images", "--mos", "mos.csv", "--ablations", "--report", "out", "--metric", "clipiqa")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "metric",
        "model",
        "protocol",
        "subset",
        "N",
        "SRCC",
        "SRCC,",
        "fitted",
        "KRCC",
        "PLCC",
        "RMSE",
    ]
    assert [line.split()[0] for line in lines[1:7]] == ["maclip"] * 3 + ["clipiqa"] * 3
    assert [line.split()[3] for line in lines[1:4]] == ["all", "s0", "s1"]
    assert any(line.startswith("λ = 0.7") for line in lines)
    assert "\x1b" not in done.stdout
    assert f"{COUNT} of {COUNT} images" in done.stderr
    assert (folder / "out" / "report.html").is_file()
    with (folder / "out" / "scores.csv").open() as stream:
        assert len(list(csv.reader(stream))) == COUNT + 1


@pytest.mark.long_form
def test_a_dataset_is_judged_at_its_published_size_and_says_so(folder: Path) -> None:
    (folder / "Annotations").mkdir()
    (folder / "images").rename(folder / "TestImage")
    rated = (folder / "mos.csv").read_text().replace("image,mos", "Image name,MOS")
    (folder / "Annotations" / "MOS and Image attribute scores.csv").write_text(rated)
    arguments = (".", "--dataset", "spaq", "--json", "--limit", "10")
    environment = os.environ | {"XDG_CONFIG_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    command = [word for word in _command(folder, *arguments) if word not in ("--protocol", "native")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["agreement"][0]["protocol"] == "spaq448"
    assert "SPAQ is judged at spaq448, as published" in done.stderr
    own = _run(folder, *arguments)
    assert json.loads(own.stdout)["agreement"][0]["protocol"] == "native"
    assert "as published" not in own.stderr


def test_json_is_one_object_and_a_limit_samples_images(folder: Path) -> None:
    done = _run(folder, "images", "--mos", "mos.csv", "--json", "--limit", "15", "--seed", "3")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["images"] == 15
    assert content["agreement"][0]["srcc_interval"][0] < content["agreement"][0]["srcc"]


def test_a_killed_run_resumes_and_no_image_is_scored_twice(folder: Path) -> None:
    for number in range(COUNT, 160):  # enough work to kill the run in the middle
        name = f"s{number % 2}_{number:02}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (500, 700, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name, compress_level=1)
        with (folder / "mos.csv").open("a") as stream:
            stream.write(f"{name},{number / 100}\n")
    cache = folder / "out" / "scores.jsonl"
    process = subprocess.Popen(
        _command(folder, "images", "--mos", "mos.csv", "--report", "out"),
        cwd=folder,
        env=os.environ | {"XDG_CONFIG_HOME": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and (not cache.exists() or cache.read_text().count("\n") < 16):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = cache.read_text().split("\n")[:-1]
    assert 16 <= len(before) < 160, "the run was not ended in the middle"
    again = _run(folder, "images", "--mos", "mos.csv", "--report", "out", "--json")
    assert again.returncode == 0, again.stderr
    lines = cache.read_text().splitlines()
    assert lines[: len(before)] == before
    whole = []
    for line in lines:
        try:
            whole.append(json.loads(line)["image"])
        except ValueError:
            continue  # the kill cut this line off
    assert len(whole) == 160
    assert set(Counter(whole).values()) == {1}
    assert json.loads(again.stdout)["agreement"][0]["images"] == 160


@pytest.mark.long_form
def test_images_that_cannot_be_scored_are_named_and_the_exit_code_is_one(folder: Path) -> None:
    (folder / "images" / "s0_04.png").write_bytes(b"not a picture")
    done = _run(folder)
    assert done.returncode == 1
    assert "failed: images/s0_04.png: it is not a photo: its content is" in done.stderr
    assert f" {COUNT - 1} " in done.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,mos\ngone.png,1\n", "1 image is not in images: gone.png"),
        ("image,mos\ns0_00.png,1\ns0_00.png,2\n", "listed twice: s0_00.png (line 3)"),
        ("image,mos\ns0_00.png,fine\n", "line 2: 'fine'"),
        ("image,mos\ns0_00.png,1\n", "has 1 rated images; correlations need at least 10"),
        ("name,quality\ns0_00.png,1\n", "no mos column"),
    ],
)
def test_a_bad_opinion_file_is_one_sentence_and_exit_code_two(folder: Path, text: str, expected: str) -> None:
    if "has 1 rated" not in expected and "not in" in expected:
        text += "".join(f"s{number % 2}_{number:02}.png,{number}\n" for number in range(12))
    (folder / "mos.csv").write_text(text)
    done = _run(folder)
    assert done.returncode == 2
    assert done.stderr.startswith("maclip: ")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_without_scores_the_command_asks_for_them(folder: Path) -> None:
    done = _run(folder, "images")
    assert done.returncode == 2
    assert "give --mos FILE, or --dataset NAME" in done.stderr


@pytest.mark.skipif(not BIQ.is_dir(), reason="the BIQ2021 images lie outside of the repository")
def test_real_photographs_are_evaluated_by_subset(folder: Path) -> None:
    done = _run(folder, str(BIQ / "images"), "--mos", str(BIQ / "mos.csv"), "--limit", "60", "--json")
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert [row["subset"] for row in content["agreement"]] == ["all", "ss01", "ss02", "ss03"]


def test_wrong_input_is_reported_without_loading_torch() -> None:
    program = (
        "import sys, maclip_daemon.cli.eval_command, maclip_daemon.evaluation.plan, "
        "maclip_daemon.evaluation.datasets; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
