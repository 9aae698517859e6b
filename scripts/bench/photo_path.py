"""Count what a reader has to follow: the modules and functions that run for one photo, and names on the way.

`maclip run` starts with one photo and a small seeded model. When that has its sidecar, a second one is
moved in. Every process of the program loads `sitecustomize`, which notes each function of the package at its
first call, and at its first call after the second photo came. Those are what a photo costs a reader.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

CHECKOUT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 120.0
EDGES = "[0.2, 0.4, 0.6, 0.8]"  # one photo is too few for edges of its own

SITECUSTOMIZE = """
import os, sys, threading

package = os.environ["MACLIP_TRACED"]
log = os.open(os.environ["MACLIP_TRACE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
second_photo = os.environ["MACLIP_SECOND_PHOTO"]
seen = {"start": set(), "photo": set()}


def note(frame, event, argument):
    code = frame.f_code
    is_function = code.co_flags & 1  # neither the body of a module nor that of a class
    if event == "call" and is_function and code.co_filename.startswith(package):
        part = "photo" if os.path.exists(second_photo) else "start"
        if code not in seen[part]:
            seen[part].add(code)
            os.write(log, f"{part}\\t{code.co_filename}\\t{code.co_qualname}\\n".encode())


threading.setprofile(note)
sys.setprofile(note)
"""


def main(
    tree: Annotated[Path, typer.Argument(help="A checkout of the program.")] = CHECKOUT,
    names: Annotated[bool, typer.Option("--names", help="List the functions too.")] = False,
) -> None:
    """Count the modules and functions that run for one photo, and what makes names hard to find."""
    package = tree.resolve() / "maclip_daemon"
    ran = functions_that_ran(package)
    photo = ran["photo"]
    if names:
        print("\n".join(f"{file}: {name}" for file, name in sorted(photo)))
    for what, functions in (("for one photo", photo), ("with the start", photo | ran["start"])):
        own = {(file, name) for file, name in functions if "<" not in name.rpartition(".")[2]}
        print(f"functions that ran {what}: {len(own)}, in {len({file for file, _ in own})} modules")
    folders = Counter(path.parent for path in package.rglob("*.py") if path.name != "__init__.py")
    folder, files = folders.most_common(1)[0]
    print(f"modules in the largest folder: {files} ({folder.relative_to(tree.resolve())})")
    stems = Counter(path.stem for path in package.rglob("*.py") if path.stem != "__init__")
    twice = sorted(stem for stem, count in stems.items() if count > 1)
    print(f"module names that occur twice: {len(twice)} {' '.join(twice)}")
    print(f"docstrings that begin with Give or Say: {sum(map(begins_with_give, package.rglob('*.py')))}")


def functions_that_ran(package: Path) -> dict[str, set[tuple[str, str]]]:
    """Return file and qualified name of each function that ran, by part: `start` and `photo`."""
    with tempfile.TemporaryDirectory(prefix="maclip-path-") as folder:
        home = Path(folder)
        first, second, log = home / "Pictures" / "a.jpg", home / "Pictures" / "b.jpg", home / "trace"
        (home / "hook").mkdir()
        (home / "hook" / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
        first.parent.mkdir()
        draw = np.random.default_rng(0)
        for path in (first, home / second.name):
            Image.fromarray(draw.integers(0, 256, (480, 640, 3), dtype=np.uint8)).save(path)
        model = write_seeded_checkpoint(home / "seeded.safetensors")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))}
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "maclip_daemon", "run", str(first.parent)],
            env=clean
            | {
                "HOME": folder,
                "PYTHONPATH": os.pathsep.join([str(home / "hook"), str(package.parent)]),
                "MACLIP_DATA_DIR": str(home / "data"),
                "MACLIP_SCORING__MODEL": f"file:{model}",
                "MACLIP_RATING__EDGES": EDGES,
                "MACLIP_FOLDERS__SETTLE_S": "0.1",
                "MACLIP_TRACED": str(package),
                "MACLIP_TRACE_LOG": str(log),
                "MACLIP_SECOND_PHOTO": str(second),
            },
            stdout=sys.stderr,
        ) as daemon:
            try:
                _wait_for_sidecar(first)
                (home / second.name).rename(second)
                _wait_for_sidecar(second)
                lines = log.read_text(encoding="utf-8").splitlines()
            finally:
                daemon.terminate()
    ran: dict[str, set[tuple[str, str]]] = {"start": set(), "photo": set()}
    for part, file, name in (line.split("\t") for line in lines):
        ran[part].add((os.path.relpath(file, package), name))
    return ran


def _wait_for_sidecar(photo: Path) -> None:
    until = time.monotonic() + TIMEOUT_S
    while not photo.with_name(f"{photo.name}.xmp").exists():
        if time.monotonic() > until:
            raise SystemExit(f"photo-path: {photo.name} got no sidecar, so its way was not complete.")
        time.sleep(0.2)
    time.sleep(2)  # the journal is settled after the file is in its place


def begins_with_give(path: Path) -> int:
    """Count the docstrings of a module that begin with Give or Say."""
    return sum(text.split(maxsplit=1)[0] in ("Give", "Gives", "Say", "Says") for text in _docstrings(path))


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text
