"""The names of open_clip's weights are checked without loading torch in the calling process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest

CHECK_NAMES = """
import json, pathlib, sys
from maclip_daemon.errors import MaclipError
from maclip_daemon.iqa.models import catalogue, open_clip_weights
answers = []
for name in ("RN50/yped", "RN50/openai"):
    try:
        answers.append(catalogue.resolve(name, pathlib.Path(sys.argv[1])).name)
    except MaclipError as error:
        answers.append(type(error).__name__)
known = [list(name) for name in open_clip_weights.known_weights()]
torch_is_loaded = "torch" in sys.modules or "open_clip" in sys.modules
print(json.dumps({"answers": answers, "known": known, "torch_is_loaded": torch_is_loaded}))
"""


def check_names(data_dir: Path) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", CHECK_NAMES, data_dir], check=True, capture_output=True, text=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def test_a_short_lived_child_asks_open_clip_and_the_program_does_not_load_torch(tmp_path: Path) -> None:
    assert check_names(tmp_path) == {
        "answers": ["UsageError", "ModelUnavailable"],
        "known": [list(name) for name in open_clip.list_pretrained()],
        "torch_is_loaded": False,
    }


def test_without_a_loadable_open_clip_the_scoring_process_checks_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open_clip").mkdir()
    (tmp_path / "open_clip" / "__init__.py").write_text("raise ImportError('no torch here')\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    assert check_names(tmp_path) == {
        "answers": ["RN50/yped", "RN50/openai"],
        "known": [],
        "torch_is_loaded": False,
    }


def test_listing_the_models_does_not_import_torch() -> None:
    program = (
        "import sys, pathlib; from maclip_daemon.iqa import metrics, view_grid;"
        "from maclip_daemon.iqa.models import catalogue, installed_models, installing, open_clip_weights;"
        "import maclip_daemon.scoring.scorer_client;"
        "installed_models.installed(pathlib.Path('/nonexistent'));"
        "sys.exit('torch' in sys.modules or 'open_clip' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_built_in_model_loads_without_the_training_code() -> None:
    program = (
        "import sys, pathlib; from maclip_daemon.iqa import metrics;"
        "from maclip_daemon.iqa.models import catalogue, loading;"
        "loading.load(catalogue.resolve_builtin(), metrics.maclip(), pathlib.Path());"
        "sys.exit(any(name.startswith('maclip_daemon.training') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
