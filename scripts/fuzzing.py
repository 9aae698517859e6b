"""Fuzz the readers of strangers' data, guided by the lines that they reach (`scripts/faults --fuzz`).

Each target of `tests/faults/fuzz_targets.py` runs in a process of its own, from the seeds in
`tests/faults/fuzz_corpus`. What the fuzzer finds beside them stays in a temporary folder; an input that fails
is kept, with the command that repeats it. Run as a program: `fuzzing.py TARGET [FILE or libFuzzer's flags]…`
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FAILURES = CHECKOUT / "fuzz-failures"
LONGEST_INPUT = 4096  # bytes
TIMEOUT_S = 10  # for one input
MEMORY_MB = 2048
MISSING = "Fuzzing needs atheris: run `.venv/bin/pip install '.[fuzzing]'` first."


def run_all(seconds: int) -> int:
    """Fuzz every target for its share of the time; return 0 when none failed, 3 without atheris."""
    if importlib.util.find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 3
    targets = sorted(path.name for path in (CHECKOUT / "tests/faults/fuzz_corpus").iterdir())
    failed = [target for target in targets if not _fuzz(target, seconds // len(targets))]
    print(f"{len(targets)} targets fuzzed for {seconds} s in all; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _fuzz(target: str, seconds: int) -> bool:
    FAILURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="maclip-fuzz-") as found:
        flags = [
            f"-max_total_time={seconds}",
            f"-max_len={LONGEST_INPUT}",
            f"-timeout={TIMEOUT_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={FAILURES}/{target}-",
            "-verbosity=0",
            "-print_final_stats=1",
        ]
        command = [sys.executable, __file__, target, found, f"{_seeds(target)}", *flags]
        is_sound = subprocess.run(command, cwd=CHECKOUT, check=False).returncode == 0
    if is_sound:
        return True
    for path in sorted(FAILURES.glob(f"{target}-*")):
        print(f"repeat with: {sys.executable} scripts/fuzzing.py {target} {path}")
    return False


def _seeds(target: str) -> Path:
    return CHECKOUT / "tests" / "faults" / "fuzz_corpus" / target


def _fuzz_here(target: str, arguments: list[str]) -> None:
    import atheris

    sys.path.insert(0, str(CHECKOUT))
    with atheris.instrument_imports(include=["maclip_daemon"]):
        from tests.faults import fuzz_targets
    atheris.Setup([sys.argv[0], *arguments], fuzz_targets.TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    _fuzz_here(sys.argv[1], sys.argv[2:])
