"""How many decoders suit a processor."""

import os
import subprocess
import sys

import pytest

from maclip_daemon.pipeline import worker_count
from maclip_daemon.settings import DecodingSettings


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (2, 2), (4, 4), (16, 16), (128, 16)])
def test_there_is_a_decoder_a_core_up_to_sixteen(cores: int, expected: int) -> None:
    assert worker_count.decoders(DecodingSettings(), cores) == expected


def test_the_setting_comes_before_the_number_of_cores() -> None:
    assert worker_count.decoders(DecodingSettings(workers=3), 16) == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to cores")
def test_only_the_cores_that_this_process_may_use_count() -> None:
    script = "import os; from maclip_daemon.pipeline import worker_count; os.sched_setaffinity(0, {%d}); "
    script += "print(worker_count.cores())"
    one = min(os.sched_getaffinity(0))
    result = subprocess.run([sys.executable, "-c", script % one], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "1"
