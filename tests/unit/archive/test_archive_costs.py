"""The page's costs are those that the script reckons, and its files to copy are ones that Ray takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import typer
import yaml
from jsonschema import validate

from maclip_daemon.cli.program import assembled

PROJECT = Path(__file__).parents[3]
FILES = PROJECT / "docs/archive"
SCRIPT = PROJECT / "scripts/archive_costs.py"


def costs(*flags: str) -> str:
    done = subprocess.run([sys.executable, SCRIPT, *flags], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_page_has_the_costs_that_the_script_reckons() -> None:
    page = (PROJECT / "docs/archive.md").read_text("utf-8")
    found = re.search(r"<!-- costs:.*?-->\n(.*?)\n<!-- end of the costs -->", page, re.DOTALL)
    assert found is not None
    assert found[1] == costs()


def test_ten_times_the_photos_cost_ten_times_as_much_and_prices_are_flags() -> None:
    def dollars(text: str) -> list[int]:
        return [int(line.split("|")[-2]) for line in text.splitlines()[2:]]

    small, large = dollars(costs())[:3], dollars(costs())[3:]
    assert [round(each / 10) for each in large] == pytest.approx(small, abs=1)
    free = costs("--core-hour", "0", "--gpu-hour", "0", "--get-price", "0.0004")
    assert dollars(free) == [4, 4, 4, 40, 40, 40]


def test_the_launchers_file_fits_rays_schema() -> None:
    schema = json.loads((Path(ray.__file__).parent / "autoscaler/ray-schema.json").read_text("utf-8"))
    validate(yaml.safe_load((FILES / "aws.yaml").read_text("utf-8")), schema)


def test_a_job_of_kuberay_uses_one_image_and_leaves_no_cluster_behind() -> None:
    job = yaml.safe_load((FILES / "kuberay.yaml").read_text("utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {each["template"]["spec"]["containers"][0]["image"] for each in groups}
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["shutdownAfterJobFinishes"] is True
    assert len(images) == 1


@pytest.mark.parametrize("name", ["aws.yaml", "kuberay.yaml", "ray-start.sh"])
def test_a_command_in_a_file_has_the_programs_own_flags(name: str) -> None:
    flags = re.findall(r"maclip archive \S+ (--\w+) \S+ (--\w+)", (FILES / name).read_text("utf-8"))
    score = typer.main.get_command(assembled()).commands["archive"].commands["score"]  # type: ignore[attr-defined]
    known = {option for parameter in score.params for option in parameter.opts}
    assert flags
    assert {flag for pair in flags for flag in pair} <= known
