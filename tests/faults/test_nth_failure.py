"""Every file operation of an action fails once, SQLite's own among them; the next run finishes the work."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.faults.conftest import Figures
from tests.faults.nth_failure import ACTIONS
from tests.faults.random_walks import TEMPORARY

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EACCES", "EROFS", "EINTR", "EPERM", "ESTALE")
STRIDE = 67  # of the short form, so that it takes seconds; another first call for each error
LIMIT_S = 3600


def test_any_file_operation_may_fail_and_the_next_run_finishes_the_work(
    tmp_path: Path, nth_call: Path, full: bool, figures: Figures
) -> None:
    folder = Path(TEMPORARY or tmp_path, f"maclip-nth-{os.getpid()}")
    folder.mkdir()
    chosen = ERRORS if full else ERRORS[:2]
    numbers = [str(getattr(errno, name)) for name in chosen]
    command = [sys.executable, "-m", "tests.faults.nth_failure", str(folder), "1" if full else str(STRIDE)]
    try:
        ended = subprocess.run(
            [*command, *numbers],
            env=os.environ | {"LD_PRELOAD": str(nth_call), "NTH_UNDER": str(folder)},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert ended.returncode == 0, ended.stderr[-3000:]
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["wrong"] == []
    assert report["failed"].keys() == ACTIONS.keys()
    failed = sum(report["failed"].values())
    figures(
        rounds=failed,
        files=failed,
        faults=failed,
        note=f"{failed} file operations that failed once, with {len(chosen)} errors",
    )
