"""Count what a reader has to follow: the modules and functions that run for one photo, and names on the way.

One photo goes through `maclip run --once` with a small seeded model until its sidecar is written. Every
process of the program loads `sitecustomize`, which notes each function of the package at its first call.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from maclip_daemon.iqa.models.seeded_checkpoint import write_seeded_checkpoint

CHECKOUT = Path(__file__).resolve().parents[2]
EDGES = "[0.2, 0.4, 0.6, 0.8]"  # one photo is too few for edges of its own

SITECUSTOMIZE = """
import os, sys, threading

package = os.environ["MACLIP_TRACED"]
log = os.open(os.environ["MACLIP_TRACE_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
seen = set()


def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and code not in seen:
        seen.add(code)
        is_function = code.co_flags & 1  # neither the body of a module nor that of a class
        if is_function and code.co_filename.startswith(package):
            os.write(log, f"{code.co_filename}\\t{code.co_qualname}\\n".encode())


threading.setprofile(note)
sys.setprofile(note)
"""


def main(
    tree: Annotated[Path, typer.Argument(help="A checkout of the program.")] = CHECKOUT,
    names: Annotated[bool, typer.Option("--names", help="List the functions too.")] = False,
) -> None:
    """Count the modules and functions that run for one photo, and what makes names hard to find."""
    package = tree.resolve() / "maclip_daemon"
    ran = functions_of_one_photo(package)
    if names:
        print("\n".join(f"{file}: {name}" for file, name in sorted(ran)))
    own = {(file, name) for file, name in ran if "<" not in name.rpartition(".")[2]}
    print(f"modules that ran: {len({file for file, _ in ran})}")
    print(f"functions that ran: {len(own)}, with lambdas and comprehensions {len(ran)}")
    folders = Counter(path.parent for path in package.rglob("*.py") if path.name != "__init__.py")
    folder, files = folders.most_common(1)[0]
    print(f"modules in the largest folder: {files} ({folder.relative_to(tree.resolve())})")
    stems = Counter(path.stem for path in package.rglob("*.py") if path.stem != "__init__")
    twice = sorted(stem for stem, count in stems.items() if count > 1)
    print(f"module names that occur twice: {len(twice)} {' '.join(twice)}")
    print(f"docstrings that begin with Give or Say: {sum(map(begins_with_give, package.rglob('*.py')))}")


def functions_of_one_photo(package: Path) -> set[tuple[str, str]]:
    """Return file and qualified name of each function of the package that runs for one photo."""
    with tempfile.TemporaryDirectory(prefix="maclip-path-") as folder:
        home = Path(folder)
        photo, log = home / "Pictures" / "a.jpg", home / "trace"
        (home / "hook").mkdir()
        (home / "hook" / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
        photo.parent.mkdir()
        pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(photo)
        model = write_seeded_checkpoint(home / "seeded.safetensors")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MACLIP_", "XDG_"))}
        subprocess.run(
            [sys.executable, "-P", "-m", "maclip_daemon", "run", "--once", str(photo.parent)],
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
            },
            check=True,
            stdout=sys.stderr,
        )
        if not Path(f"{photo}.xmp").exists():
            raise SystemExit("photo-path: the photo got no sidecar, so its way was not complete.")
        lines = log.read_text(encoding="utf-8").splitlines()
        pairs = (line.split("\t") for line in lines)
        return {(os.path.relpath(file, package), name) for file, name in pairs}


def begins_with_give(path: Path) -> int:
    """Count the docstrings of a module that begin with Give or Say."""
    return sum(text.split(maxsplit=1)[0] in ("Give", "Gives", "Say", "Says") for text in _docstrings(path))


def _docstrings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text
