"""Run the fault suite, write its figures into docs/reliability.md, and show that each of its tests can fail.

`scripts/faults` runs the quick form, `scripts/faults --full` the long one: its figures replace those of the
same promises in the table. `scripts/faults --mutations` makes each change of `tests/faults/mutations` in a
copy of the program, and demands that the test named with it fails. `scripts/faults --fuzz` takes ten minutes.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import fuzzing
import mutations
import typer
from mutations import Mutation
from rich.console import Console

CHECKOUT = Path(__file__).resolve().parents[1]
SUITE = CHECKOUT / "tests" / "faults"
PAGE = CHECKOUT / "docs" / "reliability.md"
TABLE = ("<!-- figures: written by scripts/faults --full -->", "<!-- end of the figures -->")
HEADINGS = ("promise", "rounds", "files", "faults", "losses", "seconds", "commit", "what was counted")
MUTATION_LIMIT_S = 900

console = Console()


def main(
    promises: Annotated[
        list[str] | None, typer.Argument(help="names of files in tests/faults: kills …")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="every round, and the table of figures")] = False,
    mutate: Annotated[bool, typer.Option("--mutations", help="show that each test can fail")] = False,
    fuzz: Annotated[bool, typer.Option("--fuzz", help="fuzz the readers of strangers' data instead")] = False,
    minutes: Annotated[float, typer.Option("--minutes", help="for all targets of --fuzz together")] = 10.0,
) -> None:
    """Run the fault suite, or try its mutations, or fuzz."""
    if fuzz:
        raise typer.Exit(fuzzing.run_all(round(60 * minutes)))
    chosen = promises or []
    known = {path.stem.removeprefix("test_") for path in SUITE.glob("test_*.py")}
    if unknown := sorted(set(chosen) - known):
        console.print(f"no such promise: {', '.join(unknown)}. There are: {', '.join(sorted(known))}")
        raise typer.Exit(2)
    raise typer.Exit(
        try_mutations(mutations.load(SUITE / "mutations", chosen)) if mutate else run_suite(chosen, full)
    )


def run_suite(promises: list[str], full: bool) -> int:
    """Run the tests; after a long run, put its figures into the table."""
    targets = [f"tests/faults/test_{promise}.py" for promise in promises] or ["tests/faults"]
    with tempfile.TemporaryDirectory(prefix="maclip-faults-") as folder:
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-v", "--durations=10", *(["--full"] if full else []), *targets],
            cwd=CHECKOUT,
            env=os.environ | {"MACLIP_FAULT_FIGURES": folder},
            check=False,
        ).returncode
        rows = rows_of([json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))])
    for row in rows:
        console.print(" · ".join(row))
    if full and ended == 0:
        write_table(rows)
        console.print(f"The figures are in {PAGE.relative_to(CHECKOUT)}.")
    return ended


def rows_of(figures: list[dict[str, object]]) -> list[tuple[str, ...]]:
    """One row a promise: the sums over its tests."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.strip()
    rows = []
    for promise in sorted({str(one["promise"]) for one in figures}):
        of_it = [one for one in figures if one["promise"] == promise]
        sums = [
            sum(int(str(one[name])) for one in of_it) for name in ("rounds", "files", "faults", "seconds")
        ]
        rounds, files, faults, seconds = (f"{value:,}".replace(",", " ") for value in sums)
        notes = "; ".join(str(one["note"]) for one in of_it if one["note"])
        # A test with a loss fails and leaves no figures: a row is there only when nothing was lost.
        rows.append((promise, rounds, files, faults, "none", seconds, commit, notes))
    return rows


def write_table(rows: list[tuple[str, ...]]) -> None:
    """Replace the rows of these promises in the page's table; other promises keep theirs."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(TABLE[0])
    table, _, after = rest.partition(TABLE[1])
    kept = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in table.strip().splitlines()]
    kept = [row for row in kept if len(row) == len(HEADINGS) and row[0] not in ("promise", "---")]
    named = {row[0]: row for row in kept} | {row[0]: row for row in rows}
    lines = [HEADINGS, ("---",) * len(HEADINGS), *(named[promise] for promise in sorted(named))]
    drawn = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    when = f"Run on {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}."
    PAGE.write_text(f"{before}{TABLE[0]}\n{when}\n\n{drawn}\n{TABLE[1]}{after}", encoding="utf-8")


def try_mutations(chosen: list[Mutation]) -> int:
    """Run each mutation's test in a mutated copy of the program; return 1 if any of them still passed."""
    survivors = 0
    for mutation in chosen:
        verdict = outcome(mutation)
        survivors += verdict not in ("failed", "stuck")
        console.print(f"{verdict:>9}  {mutation.promise}: {mutation.text()}", highlight=False, markup=False)
        console.print(f"           {mutation.test}", highlight=False)
    console.print(f"{len(chosen)} mutations, {len(chosen) - survivors} noticed.")
    return 1 if survivors else 0


def outcome(mutation: Mutation) -> str:
    """Return what the test made of a mutation.

    `failed` or `stuck` (no end): it noticed; `passed`: it did not; `broken`: the mutation does not fit.
    """
    with tempfile.TemporaryDirectory(prefix="maclip-mutation-") as name:
        copy = Path(name)
        for part in ("maclip_daemon", "tests", "service", "scripts"):
            skip = shutil.ignore_patterns("__pycache__")
            shutil.copytree(CHECKOUT / part, copy / part, symlinks=True, ignore=skip)
        shutil.copy(CHECKOUT / "pyproject.toml", copy)
        try:
            mutation.source(copy).write_text(mutation.mutated(copy), encoding="utf-8")
        except mutations.DoesNotFit:
            return "broken"
        # PYTHONPATH and not the working directory: the child processes start with -P.
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", mutation.test]
        try:
            ended = subprocess.run(
                [*command, *(["--full"] if mutation.full else [])],
                cwd=copy,
                env=os.environ | {"PYTHONPATH": str(copy)},
                capture_output=True,
                timeout=MUTATION_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "stuck"
        # pytest: 0 all passed, 1 some failed, anything else did not run them.
        return {0: "passed", 1: "failed"}.get(ended.returncode, "broken")


if __name__ == "__main__":
    typer.run(main)
