"""What loading a model brings along."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

PROGRAM = """
import sys
from pathlib import Path
from maclip_daemon.iqa import metrics
from maclip_daemon.iqa.models import catalogue, loading
import maclip_daemon.scoring.scoring_server

loading.load(catalogue.resolve(sys.argv[1], Path()), metrics.maclip(), Path())
print(sorted({"open_clip", "timm", "torchvision", "torch._dynamo"} & sys.modules.keys()))
"""


@pytest.mark.parametrize("kind", ["built-in", "ResNet"])
def test_the_models_of_most_people_need_no_library_of_models(kind: str, tmp_path: Path) -> None:
    """They would take half of the time of a start, and a third of the memory."""
    seeded = write_seeded_checkpoint(tmp_path / "seeded.safetensors")
    command = [sys.executable, "-c", PROGRAM, "builtin" if kind == "built-in" else f"file:{seeded}"]
    here = Path(__file__).parents[3]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=here)
    assert ended.stdout == "[]\n", ended.stderr
