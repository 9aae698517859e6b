"""`maclip completion`: what the shell gets, and what it then completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MACLIP = Path(sys.executable).with_name("maclip")


@pytest.mark.skipif(
    not MACLIP.exists() or not shutil.which("bash"), reason="needs maclip as a program, and bash"
)
def test_bash_completes_commands_after_sourcing_what_is_printed() -> None:
    script = (
        "source <(maclip completion bash); COMP_WORDS=(maclip wo); COMP_CWORD=1; "
        '_maclip_completion maclip; echo "${COMPREPLY[@]}"'
    )
    path = f"{MACLIP.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["worst"]
